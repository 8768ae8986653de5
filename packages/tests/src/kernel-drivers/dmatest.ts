import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { existsPath, linkName, listDirectory, systemPaths } from "@vfio-selftests/core/sysfs";
import { GuardedValue, KernelLog, skip } from "@vfio-selftests/harness";

/** What dmatest's thread says at its end (`dmatest_func` in drivers/dma/dmatest.c). */
const SUMMARY = /^dmatest: (\S+): summary (\d+) tests, (\d+) failures /;
/** What it says of a copy that went wrong (`result` there). */
const COMPLAINT = /: result #\d+: '/;
/** Complaints that a result shows: a device that goes wrong once mostly does so each time. */
const MOST_COMPLAINTS = 5;
const LAST_LINES = 10;

/** For {@link channelOf}: a driver offers its channel at the end of its probe, which has a self-test. */
export const CHANNEL_TIMEOUT_MS = 20_000;
/** For 10,000 copies of a model behind QEMU, which take 41 s on a quiet machine. */
export const DMATEST_TIMEOUT_MS = 600_000;

/** What dmatest found. */
export interface DmatestResult {
  readonly tests: number;
  readonly failures: number;
  /** What it says of the first failed copies. */
  readonly complaints: readonly string[];
}

const parameter = (name: string): string => systemPaths.sys("module", "dmatest", "parameters", name);

/**
 * The channel that a device's driver gives to the DMA engine, as "dma0chan0". A driver offers it in the course of its
 * probe, or later: this waits.
 */
export async function channelOf(address: string, timeoutMs: number): Promise<string> {
  const folder = systemPaths.sys("class", "dma");
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const channel = listDirectory(folder).find((name) => linkName(`${folder}/${name}/device`) === address);
    if (channel !== undefined) return channel;
    if (performance.now() > deadline) throw new Error(`${address} has no channel in ${folder} after ${timeoutMs} ms`);
    await sleep(50);
  }
}

/**
 * Lets the kernel's dmatest copy between two buffers of its own, each copy of another length and to another place, and
 * compare every byte (Documentation/driver-api/dmaengine/dmatest.rst). Rejects when it does not end in `timeoutMs`.
 */
export async function dmatest(
  channel: string,
  { copies, bufferBytes, timeoutMs }: { copies: number; bufferBytes: number; timeoutMs: number },
): Promise<DmatestResult> {
  if (!existsPath(parameter("run"))) {
    skip({ reason: "the kernel has no dmatest (CONFIG_DMATEST)", remedy: "use the lab's kernel" });
  }
  using iterations = new GuardedValue(parameter("iterations"));
  using bufferSize = new GuardedValue(parameter("test_buf_size"));
  iterations.set(copies);
  bufferSize.set(bufferBytes);
  using log = new KernelLog();
  const lines: string[] = [];
  writeFileSync(parameter("channel"), channel);
  writeFileSync(parameter("run"), "1");
  const [, , tests, failures] = await until(
    () => {
      lines.push(...log.newLines().filter((line) => line.startsWith("dmatest: ")));
      return lines.map((line) => SUMMARY.exec(line)).find((found) => found !== null) ?? undefined;
    },
    timeoutMs,
    () => `dmatest has told no result:\n${lines.slice(-LAST_LINES).join("\n")}`,
  );
  return {
    tests: Number(tests),
    failures: Number(failures),
    complaints: lines.filter((line) => COMPLAINT.test(line)).slice(0, MOST_COMPLAINTS),
  };
}

/**
 * Waits for dmatest's result, and then for the end of its thread. `run` alone does not tell the end: it reads N, too,
 * when the thread has not begun (`is_threaded_test_run` leaves out pending threads). Reading it after the thread's end
 * lets the kernel give the channel back (`dmatest_run_get`). After `timeoutMs`, dmatest is stopped.
 */
async function until<T>(result: () => T | undefined, timeoutMs: number, complaint: () => string): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  const isRunning = (): boolean => readFileSync(parameter("run"), "utf8").startsWith("Y");
  for (;;) {
    const found = result();
    if (found !== undefined && !isRunning()) return found;
    if (performance.now() > deadline) {
      writeFileSync(parameter("run"), "0");
      throw new Error(`${complaint()}\n(after ${timeoutMs} ms)`);
    }
    await sleep(100);
  }
}

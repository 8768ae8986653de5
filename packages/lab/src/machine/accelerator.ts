import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { LabArchitecture } from "../architecture/lab-architecture";
import { type LabCache, readJson, writeJson } from "../cache/cache";
import { childExit, killChild, startChild } from "../host/child-process";
import { type LabHost, systemPath } from "../host/host";
import type { Qemu } from "./qemu";
import type { Accelerator } from "./qemu-arguments";

/** Milliseconds for a kernel without a root file system to reach its panic. A working KVM takes about one second. */
const PROBE_MS = 10_000;

/**
 * Chooses KVM where it really runs a kernel, else software emulation. A virtual machine may offer a `/dev/kvm` whose
 * guests start and then hang. So the first run since the machine's boot starts the kernel and waits for its first
 * words.
 */
export async function chooseAccelerator(
  host: LabHost,
  cache: LabCache,
  qemu: Qemu,
  kernel: string,
  architecture: LabArchitecture,
): Promise<Accelerator> {
  if (architecture.node !== host.architecture) return "tcg";
  const device = systemPath(host, "/dev/kvm");
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
  } catch {
    return "tcg";
  }
  const { mtimeMs, size } = statSync(kernel);
  const boot = bootId(host);
  const question = [qemu.version.join("."), kernel, mtimeMs, size].join(" ");
  const path = join(cache.runs, "accelerator.json");
  const kept = readJson(path) as Partial<KvmAnswers> | undefined;
  const answers = kept?.boot === boot ? (kept.works ?? {}) : {};
  const works = answers[question] ?? (await kernelStartsUnderKvm(host, qemu, kernel, architecture));
  if (answers[question] === undefined) writeJson(path, { boot, works: { ...answers, [question]: works } });
  return works ? "kvm" : "tcg";
}

/** The answers found since the machine's boot. */
interface KvmAnswers {
  boot: string;
  works: Record<string, boolean>;
}

function bootId(host: LabHost): string {
  try {
    return readFileSync(systemPath(host, "/proc/sys/kernel/random/boot_id"), "utf8").trim();
  } catch {
    return "";
  }
}

async function kernelStartsUnderKvm(
  host: LabHost,
  qemu: Qemu,
  kernel: string,
  architecture: LabArchitecture,
): Promise<boolean> {
  const machine = ["-machine", architecture.qemu.machine, "-accel", "kvm", "-cpu", architecture.qemu.cpu, "-m", "512"];
  const output = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"];
  const command = ["-kernel", kernel, "-append", `console=${architecture.console} panic=-1`];
  const child = startChild(host, [...qemu.qemu, ...machine, ...output, ...command], {
    stdio: ["ignore", "pipe", "ignore"],
    deathSignal: "KILL",
  });
  const spoke = new Promise<boolean>((resolve) => {
    let text = "";
    child.stdout?.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
      // The kernel has started its drivers, so long mode, interrupts and timers work.
      if (text.includes("Kernel panic") || text.includes("VFS:")) resolve(true);
    });
  });
  const exited = childExit(child);
  try {
    return await Promise.race([spoke, exited.then(() => false), delay(PROBE_MS, false, { ref: false })]);
  } finally {
    killChild(child);
    await exited;
  }
}

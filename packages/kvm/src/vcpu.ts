import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { VfioError } from "@vfio-selftests/core";
import type { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { errnoName, systemError } from "@vfio-selftests/core/errors";
import { native } from "@vfio-selftests/native";
import * as uapi from "./uapi";
import { startVcpu, type VcpuStart } from "./vcpu-registers";
import type { VcpuLeft, VcpuThreadData, VcpuThreadMessage } from "./vcpu-thread";
import type { VirtualMachine } from "./virtual-machine";

const MAP_SHARED = 1;
/** How long a thread may take to begin, or to leave when told to. */
const THREAD_TIMEOUT_MS = 10_000;

/** Why a vCPU stopped running: the I/O port by which the guest left, or what happened instead. */
export interface VcpuExit {
  /** The I/O port that the guest wrote to. Absent if it left otherwise. */
  readonly port?: number;
  /** What happened, for people. */
  readonly reason: string;
}

/** One virtual CPU on a thread of its own. */
export class Vcpu {
  /** Its APIC id. */
  readonly id: number;
  /** Kernel thread id, for pinning. */
  readonly tid: number;
  readonly #file: OwnedDescriptor;
  readonly #runSize: number;
  readonly #worker: Worker;
  readonly #left: Promise<VcpuExit>;
  /** The close in progress; every call of `close` awaits it. */
  #closing: Promise<void> | undefined;

  private constructor(
    id: number,
    file: OwnedDescriptor,
    runSize: number,
    worker: Worker,
    tid: number,
    left: Promise<VcpuExit>,
  ) {
    this.id = id;
    this.#file = file;
    this.#runSize = runSize;
    this.#worker = worker;
    this.tid = tid;
    this.#left = left;
  }

  /** Creates the vCPU, sets its registers and lets it run. */
  static async start(vm: VirtualMachine, id: number, start: VcpuStart): Promise<Vcpu> {
    const file = vm.createVcpu(id);
    let worker: Worker | undefined;
    try {
      // A thread can only be given a number. The thread ends before the file is closed.
      const fd = file.descriptor("KVM_RUN");
      startVcpu(fd, start);
      const runSize = vm.runSize;
      // From TypeScript sources (jest) too, the worker runs the compiled file: it has no transform.
      const thread = join(__dirname, "..", "dist", "vcpu-thread.js");
      worker = new Worker(thread, { workerData: { fd, runSize } satisfies VcpuThreadData });
      const left = new Promise<VcpuExit>((resolve) => {
        worker?.on("message", (message: VcpuThreadMessage) => {
          if (message.kind === "left") resolve(describeLeft(message));
        });
        worker?.on("error", (error) => {
          resolve({ reason: `thread failed: ${String(error)}` });
        });
      });
      const signal = AbortSignal.timeout(THREAD_TIMEOUT_MS);
      const [message] = (await once(worker, "message", { signal })) as [VcpuThreadMessage];
      if (message.kind !== "started") throw vcpuError(id, describeLeft(message).reason);
      worker.unref();
      return new Vcpu(id, file, runSize, worker, message.tid, left);
    } catch (error) {
      await worker?.terminate();
      file.close();
      throw error;
    }
  }

  /** Waits until the guest has left by itself. */
  async exited(timeoutMs: number): Promise<VcpuExit | undefined> {
    const stop = new AbortController();
    const result = await Promise.race([
      this.#left,
      sleep(timeoutMs, undefined, { signal: stop.signal }).catch(() => undefined),
    ]);
    stop.abort();
    return result;
  }

  /** Pins the vCPU's thread to these CPUs. */
  pin(cpus: readonly number[]): void {
    const result = native.setAffinity(this.tid, [...cpus]);
    if (result < 0)
      throw systemError(result, "sched_setaffinity", { subject: `vCPU ${this.id} to CPUs ${cpus.join(",")}` });
  }

  /** Makes the vCPU leave, whatever it does, ends its thread and closes its file. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#end());
  }

  async #end(): Promise<void> {
    const page = native.mapMemory({ fd: this.#file.descriptor("close"), length: this.#runSize, flags: MAP_SHARED });
    if (typeof page !== "number") {
      new Uint8Array(page.buffer)[uapi.Run.immediateExit] = 1;
      page.unmap();
    }
    // The signal may fall between the thread's check and its system call. immediate_exit covers that; a repeat is
    // cheap.
    const deadline = Date.now() + THREAD_TIMEOUT_MS;
    while ((await this.exited(10)) === undefined && Date.now() < deadline) native.interruptThread(this.tid);
    await this.#worker.terminate();
    this.#file.close();
  }
}

function describeLeft(left: VcpuLeft): VcpuExit {
  switch (left.by) {
    case "port":
      return { port: left.port, reason: "I/O" };
    case "exit":
      return { reason: `exit reason ${left.exitReason} (${exitName(left.exitReason)})` };
    case "error":
      return { reason: `${left.operation}: ${errnoName(-left.error)}` };
    case "request":
      return { reason: "told to leave" };
  }
}

function exitName(exit: number): string {
  return Object.entries(uapi.ExitReason).find(([, value]) => value === exit)?.[0] ?? "unknown";
}

function vcpuError(id: number, reason: string): VfioError {
  return new VfioError(`vCPU ${id} does not run: ${reason}`, {
    code: "ERR_VCPU",
    operation: "KVM_RUN",
    subject: `vCPU ${id}`,
  });
}

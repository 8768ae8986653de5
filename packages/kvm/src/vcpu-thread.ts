/**
 * The thread of one vCPU, which vcpu.ts starts as a worker. It runs the vCPU until the guest leaves. It loads as little
 * as it can: there may be hundreds of these threads, and modules load slowly under emulation.
 */
import { parentPort, workerData } from "node:worker_threads";
import { native } from "@vfio-selftests/native";
import * as uapi from "./uapi";

/** What the thread needs to know. */
export interface VcpuThreadData {
  readonly fd: number;
  readonly runSize: number;
}

/** What the thread reports: first its kernel thread id, at the end why the guest left. */
export type VcpuThreadMessage =
  { readonly kind: "started"; readonly tid: number } | ({ readonly kind: "left" } & VcpuLeft);

/** Why a vCPU stopped running. */
export type VcpuLeft =
  | { readonly by: "port"; readonly port: number }
  | { readonly by: "exit"; readonly exitReason: number }
  /** A negative errno. */
  | { readonly by: "error"; readonly operation: string; readonly error: number }
  | { readonly by: "request" };

const MAP_SHARED = 1;
const EINTR = -4;
const EAGAIN = -11;

function run({ fd, runSize }: VcpuThreadData): VcpuLeft {
  const page = native.mapMemory({ fd, length: runSize, flags: MAP_SHARED });
  if (typeof page === "number") return { by: "error", operation: "mmap", error: page };
  const view = new DataView(page.buffer);
  try {
    for (;;) {
      const result = native.ioctl(fd, uapi.Ioctl.KVM_RUN, 0);
      if (result < 0) {
        if (view.getUint8(uapi.Run.immediateExit) !== 0) return { by: "request" };
        if (result === EINTR || result === EAGAIN) continue;
        return { by: "error", operation: "KVM_RUN", error: result };
      }
      const exitReason = view.getUint32(uapi.Run.exitReason, true);
      if (exitReason === uapi.ExitReason.IO) return { by: "port", port: view.getUint16(uapi.Run.io.port, true) };
      if (exitReason !== uapi.ExitReason.INTR) return { by: "exit", exitReason };
    }
  } finally {
    page.unmap();
  }
}

parentPort?.postMessage({ kind: "started", tid: native.gettid() } satisfies VcpuThreadMessage);
parentPort?.postMessage({ kind: "left", ...run(workerData as VcpuThreadData) } satisfies VcpuThreadMessage);

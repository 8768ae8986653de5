/** The thread of one vCPU: runs it until the guest leaves. Started by vcpu.ts as a worker. */
import { errnoName } from "@vfio-selftests/core";
import { native } from "@vfio-selftests/native";
import { parentPort, workerData } from "node:worker_threads";
import * as uapi from "./uapi";

/** What the thread is told. */
export interface VcpuThreadData {
  readonly fd: number;
  readonly runSize: number;
}

/** What the thread says: first its kernel thread id, at the end why the guest left. */
export type VcpuThreadMessage =
  | { readonly kind: "started"; readonly tid: number }
  | { readonly kind: "left"; readonly port?: number; readonly reason: string };

const MAP_SHARED = 1;

function run({ fd, runSize }: VcpuThreadData): VcpuThreadMessage {
  const page = native.mapMemory({ fd, length: runSize, flags: MAP_SHARED });
  if (typeof page === "number") return { kind: "left", reason: `mmap of the vCPU: ${errnoName(-page)}` };
  const view = new DataView(page.buffer);
  try {
    for (;;) {
      const result = native.ioctl(fd, uapi.Ioctl.KVM_RUN, 0);
      if (result < 0) {
        const name = errnoName(-result);
        if (view.getUint8(uapi.Run.immediateExit) !== 0) return { kind: "left", reason: "told to leave" };
        if (name === "EINTR" || name === "EAGAIN") continue;
        return { kind: "left", reason: `KVM_RUN: ${name}` };
      }
      const exit = view.getUint32(uapi.Run.exitReason, true);
      if (exit === uapi.ExitReason.IO) {
        return { kind: "left", port: view.getUint16(uapi.Run.io.port, true), reason: "I/O" };
      }
      if (exit === uapi.ExitReason.INTR) continue;
      return { kind: "left", reason: `exit reason ${exit} (${exitName(exit)})` };
    }
  } finally {
    page.unmap();
  }
}

function exitName(exit: number): string {
  return Object.entries(uapi.ExitReason).find(([, value]) => value === exit)?.[0] ?? "unknown";
}

parentPort?.postMessage({ kind: "started", tid: native.gettid() } satisfies VcpuThreadMessage);
parentPort?.postMessage(run(workerData as VcpuThreadData));

import type { VfioError } from "@vfio-selftests/core";
import { Errno } from "@vfio-selftests/core/errors";
import { readAttribute } from "@vfio-selftests/core/sysfs";
import type { KernelEnvironment } from "./kernel-calls";
import type { KernelFile } from "./kernel-file";

const RLIMIT_MEMLOCK = 8;

/** The error of a map. It has the process's locked-memory figures if that limit was the cause. */
export function mapError(
  file: KernelFile,
  result: number,
  ioctl: { readonly name: string },
  mode: string,
  iova: bigint | undefined,
  length: number,
  knownRemedy?: string,
): VfioError {
  const where = iova === undefined ? "an IOVA of the kernel's choice" : `IOVA 0x${iova.toString(16)}`;
  const remedy = knownRemedy ?? (result === -Errno.ENOMEM ? lockedMemoryRemedy(length, file.kernel) : undefined);
  return file.failure(result, ioctl, `${where} + ${length} (${mode})`, remedy);
}

/** The error of an unmap. */
export function unmapError(
  file: KernelFile,
  result: number,
  ioctl: { readonly name: string },
  mode: string,
  iova: bigint,
  length: bigint,
): VfioError {
  return file.failure(result, ioctl, `IOVA 0x${iova.toString(16)} + ${length} (${mode})`);
}

/** Undefined where the limit is not the cause. */
function lockedMemoryRemedy(length: number, kernel: KernelEnvironment): string | undefined {
  const limits = kernel.calls.getResourceLimit(RLIMIT_MEMLOCK);
  if (typeof limits === "number" || limits[0] === Infinity) return undefined;
  const status = readAttribute(kernel.paths.proc("self", "status")) ?? "";
  const locked = Math.max(...["VmLck", "VmPin"].map((name) => statusKib(status, name)));
  const limit = Math.floor(limits[0] / 1024);
  return (
    `raise the limit on locked memory: it is ${limit} KiB, ${locked} KiB are locked and ${Math.ceil(length / 1024)} KiB more were asked for ` +
    "(ulimit -l unlimited; memlock in /etc/security/limits.conf; LimitMEMLOCK= of a service)"
  );
}

function statusKib(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
}

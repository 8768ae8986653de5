import { systemError } from "@vfio-selftests/core/errors";
import { systemPaths, type SystemPaths } from "@vfio-selftests/core/sysfs";
import { native, type NativeBinding } from "@vfio-selftests/native";

/** The system calls that the modes make. */
export type KernelCalls = Pick<
  NativeBinding,
  "open" | "close" | "ioctl" | "bindIoctl" | "pread" | "pwrite" | "mapIo" | "pageSize" | "getResourceLimit"
>;

/** What the modes reach outside the process: system calls and paths. A test puts its own in their place. */
export interface KernelEnvironment {
  readonly calls: KernelCalls;
  readonly paths: SystemPaths;
}

export const realKernel: KernelEnvironment = { calls: native, paths: systemPaths };

/** An ioctl's number under its name. */
export type Request = Readonly<Record<string, number>>;

type Argument = Parameters<NativeBinding["ioctl"]>[2];
type Links = (number | Uint8Array)[];

/**
 * An ioctl outside the hot paths: gives its result, or throws a VfioError named after the request. The request is given
 * as `{ VFIO_SET_IOMMU }`, so that name and number cannot part.
 */
export function ioctl(
  kernel: KernelEnvironment,
  fd: number,
  request: Request,
  subject: string,
  argument?: Argument,
  ...links: Links
): number {
  const [name, number] = requestOf(request);
  const result = kernel.calls.ioctl(fd, number, argument, ...links);
  if (result < 0) throw systemError(result, name, { subject });
  return result;
}

export function requestOf(request: Request): [name: string, number: number] {
  const entry = Object.entries(request)[0];
  if (entry === undefined) throw new RangeError("no request");
  return entry;
}

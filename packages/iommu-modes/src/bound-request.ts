import { systemError } from "@vfio-selftests/core/errors";
import { StructView, type StructLayout } from "@vfio-selftests/core/uapi";
import { requestOf, type KernelEnvironment, type Request } from "./kernel-calls";

/**
 * An ioctl of the hot path: its argument is set in place through `view`, and `call` makes it without copying or
 * allocating anything.
 */
export interface BoundRequest {
  readonly view: StructView;
  /** The ioctl's result or `-errno`. */
  readonly call: () => number;
  readonly close: () => void;
}

/** `fd` must stay open until `close`. The structure's size must be a multiple of 8. */
export function bindRequest(
  kernel: KernelEnvironment,
  fd: number,
  request: Request,
  layout: StructLayout,
): BoundRequest {
  const [name, number] = requestOf(request);
  const bound = kernel.calls.bindIoctl(fd, number, layout.size);
  if (typeof bound === "number") throw systemError(bound, name);
  return { view: new StructView(layout.size, bound.argument), call: bound.call, close: bound.close };
}

import { systemError } from "@vfio-selftests/core/errors";
import { StructView, type StructLayout, type U32Field } from "@vfio-selftests/core/uapi";
import { requestOf, type KernelEnvironment, type Request } from "./kernel-calls";

/** Larger replies are refused: no info structure comes near. */
const MAX_REPLY = 1 << 20;

/**
 * An info ioctl with a capability chain: asks with the bare structure, and when the reply's argsz is larger, again with
 * room for the chain. `fill` sets the request's own fields.
 */
export function infoIoctl(
  kernel: KernelEnvironment,
  fd: number,
  request: Request,
  subject: string,
  layout: StructLayout<{ readonly argsz: U32Field }>,
  fill: (view: StructView) => void = () => undefined,
): StructView {
  const [name, number] = requestOf(request);
  const { argsz } = layout.fields;
  // The chain may grow between two calls (another device joins), hence the loop.
  for (let size = layout.size, attempts = 0; ; attempts++) {
    const view = new StructView(size);
    argsz.set(view, size);
    fill(view);
    const result = kernel.calls.ioctl(fd, number, view.bytes);
    if (result < 0) throw systemError(result, name, { subject });
    const needed = argsz.get(view);
    if (needed <= size || needed > MAX_REPLY || attempts === 4) return view;
    size = needed;
  }
}

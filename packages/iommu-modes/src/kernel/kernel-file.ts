import type { VfioError } from "@vfio-selftests/core";
import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { closedError, systemError } from "@vfio-selftests/core/errors";
import { O_RDWR, StructView } from "@vfio-selftests/core/uapi";
import { type EncodedIoctl, encodeIoctl, type StructIoctl } from "./ioctl";
import type { KernelEnvironment } from "./kernel-calls";

/** Larger replies are an error. No info structure comes near this size. */
const MAX_REPLY = 1 << 20;

/**
 * An ioctl of the hot path. The caller sets its argument in place through `view`, and `call` makes it without copying
 * or allocating anything. It ends with its file: `call` then gives -EBADF.
 */
export interface BoundIoctl {
  readonly view: StructView;
  /** The ioctl's result or `-errno`; undefined for 0. */
  readonly call: () => number | undefined;
}

/** What the owner of a file lets others do with it. */
export type KernelFileAccess = Pick<
  KernelFile,
  "name" | "closed" | "attempt" | "make" | "ask" | "duplicate" | "descriptor"
>;

/** An open file of the kernel's VFIO or IOMMUFD, and the ioctls on it. */
export class KernelFile extends OwnedDescriptor {
  /** The system calls by which it works. */
  readonly kernel: KernelEnvironment;

  /** Opens a file for reading and writing. `remedy` gives the remedy of a failure, or leaves it to the errno. */
  static open(kernel: KernelEnvironment, path: string, remedy?: (result: number) => string | undefined): KernelFile {
    const descriptor = kernel.calls.open(path, O_RDWR);
    if (descriptor < 0) throw systemError(descriptor, "open", { subject: path, remedy: remedy?.(descriptor) });
    return new KernelFile(kernel, descriptor, path);
  }

  /** Opens the file of somebody's descriptor once more. The caller keeps that descriptor. */
  static copyOf(kernel: KernelEnvironment, descriptor: number, name: string): KernelFile {
    const copy = kernel.calls.dup(descriptor);
    if (copy < 0) throw systemError(copy, "dup", { subject: name });
    return new KernelFile(kernel, copy, name);
  }

  /** Owns the descriptor from now on. */
  constructor(kernel: KernelEnvironment, descriptor: number, name: string) {
    super(descriptor, name, kernel.calls);
    this.kernel = kernel;
  }

  /** Makes an ioctl. Returns its result or `-errno`. */
  attempt({ name, request, argument, links = [] }: EncodedIoctl): number {
    return this.kernel.calls.ioctl(this.descriptor(name), request, argument, ...links);
  }

  /** Makes an ioctl. Returns its result, or throws a VfioError named after it. */
  make(ioctl: EncodedIoctl, subject = this.name): number {
    const result = this.attempt(ioctl);
    if (result < 0) throw systemError(result, ioctl.name, { subject });
    return result;
  }

  /** Makes an ioctl. Returns the kernel's answer, or throws a VfioError named after it. */
  ask<Parameters extends readonly unknown[], Answer>(
    ioctl: StructIoctl<Parameters, Answer>,
    subject: string,
    ...parameters: Parameters
  ): Answer {
    const encoded = encodeIoctl(ioctl, ...parameters);
    this.make(encoded, subject);
    return ioctl.answer(encoded.view);
  }

  /**
   * Asks for a structure with a chain of capabilities behind it. It asks for the bare structure first. If the answer's
   * size is larger, it asks again with room for the chain.
   */
  askForChain<Parameters extends readonly unknown[], Answer>(
    ioctl: StructIoctl<Parameters, Answer>,
    subject: string,
    ...parameters: Parameters
  ): Answer {
    // The loop is for a chain that grows between two calls, because another device joins.
    for (let size = ioctl.layout.size, attempts = 0; ; attempts++) {
      const view = new StructView(size);
      view.u32[0] = size;
      ioctl.write(view, ...parameters);
      this.make({ name: ioctl.name, request: ioctl.request, argument: view.bytes }, subject);
      const needed = view.u32[0];
      if (needed <= size || needed > MAX_REPLY || attempts === 4) return ioctl.answer(view);
      size = needed;
    }
  }

  /** Binds an ioctl to this file and to an argument of its own. The structure's size must be a multiple of 8. */
  bind(ioctl: Pick<StructIoctl<readonly [], unknown>, "name" | "request" | "layout">): BoundIoctl {
    const { name, request, layout } = ioctl;
    const bound = this.kernel.calls.bindIoctl(this.descriptor(name), request, layout.size);
    if (typeof bound === "number") throw systemError(bound, name, { subject: this.name });
    this.adopt(bound);
    const view = new StructView(layout.size, bound.argument);
    view.u32[0] = layout.size;
    return { view, call: bound.call };
  }

  /** The error of a bound ioctl, which does not know whether its file is closed. */
  failure(result: number, ioctl: { readonly name: string }, subject: string, remedy?: string): VfioError {
    if (this.closed) return closedError(ioctl.name, this.name);
    return systemError(result, ioctl.name, { subject, remedy });
  }
}

import { native, type NativeBinding } from "@vfio-selftests/native";
import { closedError, systemError } from "../errors/vfio-error";
import { closeAll } from "./close-all";

/** The system calls that an owner of a descriptor makes. A test passes its own. */
export type DescriptorCalls = Pick<NativeBinding, "close" | "dup">;

/** Something that ends with its owner. */
interface Closable {
  close(): void;
}

/**
 * The one owner of a file descriptor. Its users hold this object and ask it for the number at each system call. Once
 * the owner is closed, every use is ERR_CLOSED, and none reaches a newer file with the number.
 */
export class OwnedDescriptor implements Disposable {
  /** The file's name in errors: `/dev/iommu`, `0000:01:00.0`. */
  readonly name: string;
  readonly #calls: DescriptorCalls;
  readonly #children = new Set<Closable>();
  /** -1 once closed. */
  #number: number;

  /** Owns the descriptor from now on. */
  constructor(descriptor: number, name: string, calls: DescriptorCalls = native) {
    this.#number = descriptor;
    this.name = name;
    this.#calls = calls;
  }

  /** Whether {@link close} has been called. */
  get closed(): boolean {
    return this.#number < 0;
  }

  /** The number, for one system call made at once. Do not keep it. Throws ERR_CLOSED, with the operation's name. */
  descriptor(operation: string): number {
    if (this.#number < 0) throw closedError(operation, this.name);
    return this.#number;
  }

  /**
   * A further descriptor of the same open file, with an owner of its own, for a thread, which can only be given a
   * number. It works on when this one is closed. The kernel ends what the file stands for when the last descriptor is
   * closed.
   */
  duplicate(): OwnedDescriptor {
    const duplicate = this.#calls.dup(this.descriptor("dup"));
    if (duplicate < 0) throw systemError(duplicate, "dup", { subject: this.name });
    return new OwnedDescriptor(duplicate, this.name, this.#calls);
  }

  /**
   * Closes the child with the file, just before it, the last adopted first. Returns a function that releases the child.
   */
  adopt(child: Closable): () => void {
    this.descriptor("adopt");
    this.#children.add(child);
    return () => void this.#children.delete(child);
  }

  /** Closes the children and the file. Idempotent. It completes all its steps, then throws the children's errors. */
  close(): void {
    if (this.#number < 0) return;
    const descriptor = this.#number;
    this.#number = -1;
    const children = [...this.#children].reverse();
    this.#children.clear();
    closeAll(this.name, [...children.map((child) => () => child.close()), () => this.#closeNumber(descriptor)]);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Linux lets go of the number whatever close(2) answers; an error is somebody else's close of it, or the kernel's own. */
  #closeNumber(descriptor: number): void {
    const result = this.#calls.close(descriptor);
    if (result < 0) throw systemError(result, "close", { subject: this.name });
  }
}

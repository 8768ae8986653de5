import { argumentError, closedError, systemError } from "@vfio-selftests/core/errors";
import { encodeIoctl } from "../kernel/ioctl";
import type { KernelFile } from "../kernel/kernel-file";
import { destroy } from "../requests/iommufd";

/**
 * An object of an iommufd, by its id. It belongs to the iommufd. When that is closed, the object is gone: every use is
 * ERR_CLOSED, and `close` has nothing left to do.
 */
export abstract class IommufdObject implements Disposable {
  /** For errors: `IOAS 3`. */
  readonly name: string;
  protected readonly iommufd: KernelFile;
  readonly #id: number;
  #destroyed = false;

  protected constructor(iommufd: KernelFile, id: number, kind: string) {
    this.iommufd = iommufd;
    this.#id = id;
    this.name = `${kind} ${id}`;
  }

  get closed(): boolean {
    return this.#destroyed || this.iommufd.closed;
  }

  /** iommufd's number for it, for a request that names it. Throws ERR_CLOSED. */
  get id(): number {
    this.requireOpen("id");
    return this.#id;
  }

  /**
   * Its number for a request to `iommufd`. Throws if it belongs to another iommufd, where the number is another
   * object's.
   */
  idIn(iommufd: KernelFile): number {
    if (iommufd === this.iommufd) return this.id;
    this.requireOpen("id");
    throw argumentError(iommufd.name, "object", this.name, "objects of this iommufd; this one belongs to another");
  }

  /** Destroys it. Throws EBUSY while something uses it; repeat it then. Idempotent once it has succeeded. */
  close(): void {
    if (this.closed) return;
    const request = encodeIoctl(destroy, this.#id);
    const result = this.iommufd.attempt(request);
    if (result < 0) {
      throw systemError(result, request.name, {
        subject: this.name,
        remedy:
          "close what uses it first: devices before page tables, page tables before fault queues and address spaces",
      });
    }
    this.#destroyed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  protected requireOpen(operation: string): void {
    if (this.#destroyed) throw closedError(operation, this.name);
    if (this.iommufd.closed) throw closedError(operation, `${this.iommufd.name}, and with it ${this.name},`);
  }
}

import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { Errno, systemError } from "@vfio-selftests/core/errors";
import type { MigrationData } from "@vfio-selftests/core/migration";
import type { KernelCalls } from "../kernel/kernel-calls";

/** A device's migration data by the file that the kernel gave for them (`data_fd`). */
export class MigrationFile implements MigrationData {
  readonly #file: OwnedDescriptor;
  readonly #address: string;
  readonly #calls: KernelCalls;

  /** Owns the descriptor from now on. */
  constructor(fd: number, address: string, calls: KernelCalls) {
    this.#file = new OwnedDescriptor(fd, `migration data of ${address}`, calls);
    this.#address = address;
    this.#calls = calls;
  }

  read(into: Uint8Array): number {
    const count = this.#calls.read(this.#file.descriptor("read"), into);
    // The "temporary end of stream" of a device that still runs (linux/vfio.h, VFIO_MIG_GET_PRECOPY_INFO).
    return count === -Errno.ENOMSG ? 0 : this.#checked("read", count);
  }

  write(from: Uint8Array): number {
    return this.#checked("write", this.#calls.write(this.#file.descriptor("write"), from));
  }

  close(): void {
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #checked(operation: string, count: number): number {
    if (count >= 0) return count;
    throw systemError(count, operation, { subject: `migration data of ${this.#address}` });
  }
}

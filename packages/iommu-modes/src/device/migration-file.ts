import type { MigrationData } from "@vfio-selftests/core";
import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { systemError } from "@vfio-selftests/core/errors";
import { native } from "@vfio-selftests/native";

/** A device's migration data by the file that the kernel gave for them (`data_fd`). */
export class MigrationFile implements MigrationData {
  readonly #file: OwnedDescriptor;
  readonly #address: string;

  /** Owns the descriptor from now on. */
  constructor(fd: number, address: string) {
    this.#file = new OwnedDescriptor(fd, `migration data of ${address}`);
    this.#address = address;
  }

  read(into: Uint8Array): number {
    return this.#checked("read", native.read(this.#file.descriptor("read"), into));
  }

  write(from: Uint8Array): number {
    return this.#checked("write", native.write(this.#file.descriptor("write"), from));
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

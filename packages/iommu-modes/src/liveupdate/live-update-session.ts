import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import type { KernelFile, KernelFileAccess } from "../kernel/kernel-file";
import { finishSession, preserveFile, retrieveFile, sessionName } from "../requests/liveupdate";

/**
 * A set of files that the next kernel takes over together, or has taken over. Each has a token, a number that its user
 * chooses. `LiveUpdate` makes both kinds.
 */
export class LiveUpdateSession implements Disposable {
  readonly #file: KernelFile;

  /** Owns the file from now on. */
  constructor(file: KernelFile) {
    this.#file = file;
  }

  /** For ioctls that nothing here makes, and for the number that another process gets. */
  get file(): KernelFileAccess {
    return this.#file;
  }

  /** The session's name, as the kernel has it. */
  get name(): string {
    return this.#file.ask(sessionName, this.#file.name);
  }

  /**
   * Preserves the file of a descriptor, which stays the caller's. Of Linux 7.3, memfds without huge pages of hugetlbfs can
   * be preserved; until the end of the session they cannot change their size. Throws ENOENT for a file that the kernel
   * cannot preserve, EEXIST for a token in use, EBUSY for a file that is preserved already, and EINVAL in a session that
   * was taken over.
   */
  preserve(descriptor: number, token: bigint): void {
    this.#file.ask(preserveFile, `${this.#file.name}, token ${token}`, descriptor, token);
  }

  /**
   * Gives the file that the kernel before this one preserved under the token, as often as asked. The caller owns it.
   * Throws ENOENT for a token without a file, and EINVAL in a session of this kernel.
   */
  retrieve(token: bigint): OwnedDescriptor {
    const subject = `${this.#file.name}, token ${token}`;
    return new OwnedDescriptor(this.#file.ask(retrieveFile, subject, token), subject, this.#file.kernel.calls);
  }

  /**
   * Ends a session that was taken over: its retrieved files are ordinary ones from now on, and the others are gone. Throws
   * EBUSY while a file's owner is not ready for that, and EINVAL in a session of this kernel.
   */
  finish(): void {
    this.#file.ask(finishSession, this.#file.name);
  }

  /** Ends a session of this kernel without handing it over, and finishes one that was taken over. Idempotent. */
  close(): void {
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

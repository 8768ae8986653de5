import { Errno } from "@vfio-selftests/core/errors";
import { type KernelEnvironment, realKernel } from "../kernel/kernel-calls";
import { KernelFile, type KernelFileAccess } from "../kernel/kernel-file";
import { createSession, retrieveSession } from "../requests/liveupdate";
import { LiveUpdateSession } from "./live-update-session";

const REMEDIES: Readonly<Record<number, string>> = {
  [Errno.ENOENT]:
    "use a kernel with CONFIG_LIVEUPDATE (6.19 or newer), booted with `kho=on liveupdate=on`; `vfio-selftests lab kexec` does that",
  [Errno.EBUSY]: "close the other user of it: /dev/liveupdate is open once at most",
  [Errno.EIO]: "reboot: this kernel could not read what the one before it handed over (see its messages)",
};

/**
 * The Live Update Orchestrator, /dev/liveupdate: files that outlive their kernel, because the next one takes them over
 * (kexec). It is open once at most. Its sessions live on when it is closed.
 */
export class LiveUpdate implements Disposable {
  readonly #file: KernelFile;

  /**
   * Opens /dev/liveupdate. Throws ENOENT where the kernel has none, EBUSY while it is open elsewhere, and EIO where the
   * kernel could not read what it was handed over.
   */
  static open(kernel: KernelEnvironment = realKernel): LiveUpdate {
    return new LiveUpdate(KernelFile.open(kernel, kernel.paths.dev("liveupdate"), (result) => REMEDIES[-result]));
  }

  private constructor(file: KernelFile) {
    this.#file = file;
  }

  /** For ioctls that nothing here makes. */
  get file(): KernelFileAccess {
    return this.#file;
  }

  /**
   * Makes a session for the next kernel. `name` has 1 to 63 bytes of UTF-8, without a NUL. Throws EEXIST for the name of
   * another session. Close the session, or let its last process end, and nothing of it is handed over.
   */
  createSession(name: string): LiveUpdateSession {
    return this.#session(this.#file.ask(createSession, name, name), name);
  }

  /**
   * Takes over a session that the kernel before this one had. Throws ENOENT where that had none of the name, and EINVAL
   * for a session that was taken over already.
   */
  retrieveSession(name: string): LiveUpdateSession {
    return this.#session(this.#file.ask(retrieveSession, name, name), name);
  }

  /** Idempotent. Sessions stay open. */
  close(): void {
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #session(descriptor: number, name: string): LiveUpdateSession {
    return new LiveUpdateSession(new KernelFile(this.#file.kernel, descriptor, `live update session ${name}`));
  }
}

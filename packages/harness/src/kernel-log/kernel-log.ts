import { closeSync, constants, openSync, readSync } from "node:fs";
import { type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";

/** One record of /dev/kmsg is at most this long (CONSOLE_EXT_LOG_MAX of the kernel). */
const RECORD_BYTES = 8192;

/** The kernel's log from the moment of opening on (Documentation/ABI/testing/dev-kmsg); needs root. */
export class KernelLog implements Disposable {
  readonly #fd: number;
  readonly #record = Buffer.allocUnsafe(RECORD_BYTES);

  constructor(paths: SystemPaths = systemPaths) {
    this.#fd = openSync(paths.dev("kmsg"), constants.O_RDONLY | constants.O_NONBLOCK);
    this.newLines();
  }

  /** The messages since the last call, without their prefixes. */
  newLines(): string[] {
    const lines: string[] = [];
    for (;;) {
      try {
        const length = readSync(this.#fd, this.#record);
        const [message = ""] = this.#record.toString("utf8", 0, length).split("\n", 1);
        lines.push(message.slice(message.indexOf(";") + 1));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EAGAIN") return lines;
        // Messages were overwritten before they could be read: go on with the next one.
        if (code !== "EPIPE") throw error;
      }
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

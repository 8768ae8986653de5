import { closeSync, constants, openSync, readSync } from "node:fs";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import { type KernelRecord, parseRecords } from "./record";

/** One record of /dev/kmsg is at most this long (PRINTK_MESSAGE_MAX of the kernel), and one read gives one record. */
const RECORD_BYTES = 8192;

/** The result of one read of the log. */
export interface NewRecords {
  readonly records: readonly KernelRecord[];
  /** Messages that were overwritten before they could be read. */
  readonly lost: number;
}

/** The kernel's log. Reading it needs root, CAP_SYSLOG, or `kernel.dmesg_restrict=0`. */
export class KernelLog implements Disposable {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(RECORD_BYTES);
  #position: number;

  /** Reads from now on, or after the message with this sequence number; -1: all that the kernel still has. */
  constructor(path = systemPaths.dev("kmsg"), after?: number) {
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    this.#position = after ?? -1;
    if (after === undefined) this.read();
  }

  /** Sequence number of the last message read; -1 when there was none yet. */
  get position(): number {
    return this.#position;
  }

  /** Leaves out the messages up to this one, which somebody else has read. */
  skipTo(position: number): void {
    this.#position = Math.max(this.#position, position);
  }

  /** The messages since the last call. Never waits. */
  read(): NewRecords {
    const found: KernelRecord[] = [];
    let lost = 0;
    for (let bytes = this.#next(); bytes !== undefined; bytes = this.#next()) {
      for (const record of parseRecords(bytes.toString("latin1"))) {
        if (record.sequence <= this.#position) continue;
        lost += record.sequence - this.#position - 1;
        this.#position = record.sequence;
        found.push(record);
      }
    }
    return { records: found, lost };
  }

  /** The kernel's own messages since the last call, without their prefixes. */
  newLines(): string[] {
    return kernelLines(this.read().records);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  /** One record; undefined at the end of the log. */
  #next(): Buffer | undefined {
    for (;;) {
      try {
        const length = readSync(this.#fd, this.#buffer);
        return length === 0 ? undefined : this.#buffer.subarray(0, length);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EAGAIN") return undefined;
        // The kernel overwrote messages before anybody read them. The next message's number shows how many.
        if (code !== "EPIPE") throw error;
      }
    }
  }
}

/** The lines of the kernel itself. A message of several lines gives several. */
export function kernelLines(records: readonly KernelRecord[]): string[] {
  return records.filter(({ facility }) => facility === 0).flatMap(({ text }) => text.split("\n"));
}

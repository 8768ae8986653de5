import { systemPaths } from "@vfio-selftests/core/sysfs";
import { isIommuFault } from "./iommu-faults";
import { kernelLines, KernelLog } from "./kernel-log";
import { END_MARK, writeMark } from "./marks";
import { findReports, type SplatReport } from "./splat-reports";

/** Where a watch begins, as plain data. */
export interface KernelWatchOptions {
  /** Default: /dev/kmsg. */
  readonly path?: string;
  /**
   * Sequence number of the last message that somebody else has looked at. `boot`: the end of the last run in the log, or
   * its beginning. Default: now.
   */
  readonly after?: number | "boot";
}

/** What the kernel said since the last look. */
export interface KernelFindings {
  readonly reports: readonly SplatReport[];
  /** Lines of IOMMU drivers that refused an access. */
  readonly faults: readonly string[];
  /** All of the kernel's lines. */
  readonly lines: readonly string[];
  /** Messages that were overwritten before they could be read. */
  readonly lost: number;
}

/** How long a CPU may take to print a report to its end, and how often one looks. */
const PRINT_MS = 500;
const LOOK_MS = 5;

/** Looks at all that the kernel says. Every look is synchronous, so that what it finds belongs to who looks. */
export class KernelWatch implements Disposable {
  readonly #log: KernelLog;
  readonly #path: string;
  /** Lines since boot that are still to be told. */
  #held: { lines: string[]; lost: number } = { lines: [], lost: 0 };

  /** Throws as `open` does where the log may not be read. */
  constructor({ path = systemPaths.dev("kmsg"), after }: KernelWatchOptions = {}) {
    this.#path = path;
    this.#log = new KernelLog(path, after === "boot" ? -1 : after);
    if (after === "boot") this.#held = this.#sinceLastRun();
  }

  /** Sequence number of the last message that was looked at. */
  get position(): number {
    return this.#log.position;
  }

  /** Leaves out the messages up to this one, which somebody else has looked at. */
  skipTo(position: number): void {
    this.#log.skipTo(position);
  }

  /** What came since the last look. A report that is still being printed is waited for. */
  take(): KernelFindings {
    const { lines, lost: earlier } = this.#held;
    this.#held = { lines: [], lost: 0 };
    let lost = earlier + this.#read(lines);
    let reports = findReports(lines);
    const deadline = performance.now() + PRINT_MS;
    while (reports.at(-1)?.open === true && performance.now() < deadline) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS);
      lost += this.#read(lines);
      reports = findReports(lines);
    }
    return { reports, faults: lines.filter(isIommuFault), lines, lost };
  }

  /** Writes a line of ours, where we may. */
  mark(text: string): void {
    writeMark(this.#path, text);
  }

  [Symbol.dispose](): void {
    this.#log[Symbol.dispose]();
  }

  #read(lines: string[]): number {
    const { records, lost } = this.#log.read();
    lines.push(...kernelLines(records));
    return lost;
  }

  #sinceLastRun(): { lines: string[]; lost: number } {
    const { records, lost } = this.#log.read();
    const end = records.findLastIndex(({ text }) => text === END_MARK);
    return { lines: kernelLines(records.slice(end + 1)), lost: end < 0 ? lost : 0 };
  }
}

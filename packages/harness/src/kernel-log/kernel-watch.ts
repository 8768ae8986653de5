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
   * Sequence number of the last message that somebody else has read. `boot`: the end of the last run in the log, or the
   * log's beginning. Default: now.
   */
  readonly after?: number | "boot";
}

/** What the kernel printed since the last look. */
export interface KernelFindings {
  /** The kernel's reports of itself. */
  readonly reports: readonly SplatReport[];
  /** Lines in which IOMMU drivers report a refused access. */
  readonly faults: readonly string[];
  /** All of the kernel's lines. */
  readonly lines: readonly string[];
  /** Messages that were overwritten before they could be read. */
  readonly lost: number;
}

/** Milliseconds that a CPU may take to print a report to its end, and between two looks. */
const PRINT_MS = 500;
const LOOK_MS = 5;

/** Watches all that the kernel prints. Every look is synchronous, so that its findings belong to the caller's test. */
export class KernelWatch implements Disposable {
  readonly #log: KernelLog;
  readonly #path: string;
  /** Lines since boot that the first `take` gives. */
  #held: { lines: string[]; lost: number } = { lines: [], lost: 0 };

  /** Throws as `open` does where the log may not be read. */
  constructor({ path = systemPaths.dev("kmsg"), after }: KernelWatchOptions = {}) {
    this.#path = path;
    this.#log = new KernelLog(path, after === "boot" ? -1 : after);
    if (after === "boot") this.#held = this.#sinceLastRun();
  }

  /** Sequence number of the last message that this watch has read. */
  get position(): number {
    return this.#log.position;
  }

  /** Leaves out the messages up to this one, which somebody else has read. */
  skipTo(position: number): void {
    this.#log.skipTo(position);
  }

  /** What came since the last look. Waits for the end of a report that the kernel is still printing. */
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

  /** Writes a line of ours into the log, where we may. */
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

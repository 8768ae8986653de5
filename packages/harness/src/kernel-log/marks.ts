import { closeSync, constants, openSync, writeSync } from "node:fs";

/**
 * What a run writes into the kernel's log, as blktests and xfstests do: a reader of the log sees which test ran, even
 * when the kernel died under it. Level 4 makes consoles that show warnings show these lines, too.
 */
const PREFIX = "vfio-selftests: ";
const LEVEL = "<4>";

/** A run's part of the log lasts from here to {@link END_MARK}. The rest is for whoever reads the whole log. */
export const BEGIN_MARK = `${PREFIX}run begins`;
/** Ends the last test's part of the log. */
export const END_MARK = `${PREFIX}run ends`;

/** Names the test that runs from here on, until the next mark. */
export function testMark(id: string): string {
  return `${PREFIX}test ${id}`;
}

/** Names the test that has just failed. */
export function failureMark(id: string): string {
  return `${PREFIX}failed ${id}`;
}

/** The test whose start or failure a line of the log marks. */
export function testOfMark(line: string): { readonly kind: "test" | "failed"; readonly id: string } | undefined {
  const [, kind, id] = /^vfio-selftests: (test|failed) (.+)$/.exec(line) ?? [];
  return id === undefined ? undefined : { kind: kind === "test" ? "test" : "failed", id };
}

/** Writes a line. Returns whether the kernel took it: it takes only root's. */
export function writeMark(path: string, text: string): boolean {
  try {
    // A file of its own for each: the kernel takes ten lines in five seconds from one (`devkmsg_write`).
    const fd = openSync(path, constants.O_WRONLY | constants.O_APPEND);
    try {
      writeSync(fd, `${LEVEL}${text}\n`);
    } finally {
      closeSync(fd);
    }
    return true;
  } catch {
    return false;
  }
}

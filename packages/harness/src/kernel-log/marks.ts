import { closeSync, constants, openSync, writeSync } from "node:fs";

/**
 * What a run writes into the kernel's log, as blktests and xfstests do: a reader of the log sees which test ran, also
 * where the kernel died under it. Level 4, so that a console shows it that shows warnings.
 */
const PREFIX = "vfio-selftests: ";
const LEVEL = "<4>";

/** The log is a run's from here to {@link END_MARK}. What lies outside is for whoever looks at the whole log. */
export const BEGIN_MARK = `${PREFIX}run begins`;
export const END_MARK = `${PREFIX}run ends`;

/** The test that runs from here on, until the next mark. */
export function testMark(id: string): string {
  return `${PREFIX}test ${id}`;
}

/** The test that has just failed. */
export function failureMark(id: string): string {
  return `${PREFIX}failed ${id}`;
}

/** The test that a line of the log begins, or says to have failed. */
export function testOfMark(line: string): { readonly kind: "test" | "failed"; readonly id: string } | undefined {
  const [, kind, id] = /^vfio-selftests: (test|failed) (.+)$/.exec(line) ?? [];
  return id === undefined ? undefined : { kind: kind === "test" ? "test" : "failed", id };
}

/** Writes a line; gives whether the kernel took it: it takes root's alone. */
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

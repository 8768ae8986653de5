import type { Coverage } from "./file-coverage";
import { decodeLines, encodeLines } from "./line-ranges";

/** Which test reached which lines of one kernel: plain data, kept as JSON. */
export interface CoverageDatabase {
  readonly format: 1;
  /** All lines with code, by file. */
  readonly lines: Readonly<Record<string, string>>;
  /** Functions by file: name, first and last line. */
  readonly functions: Readonly<Record<string, readonly (readonly [name: string, first: number, last: number])[]>>;
  /** The lines that each test reached, by the test's id and the file. */
  readonly tests: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export const EMPTY_DATABASE: CoverageDatabase = { format: 1, lines: {}, functions: {}, tests: {} };

/** The ids of what ran before the first test and after the last one. They are no tests. */
export const BOOT = "(boot)";
export const AFTERWARDS = "(afterwards)";

/** The id of a command that ran as a whole. It is no test, because nobody knows what is in it. */
export function commandId(words: readonly string[]): string {
  return `$ ${words.join(" ")}`;
}

/** Whether an id of the database belongs to a test, which can run again. */
export function isTest(id: string): boolean {
  return id !== BOOT && id !== AFTERWARDS && !id.startsWith("$ ");
}

/** The database without what it knows of these files. */
export function forgetFiles(database: CoverageDatabase, paths: readonly string[]): CoverageDatabase {
  const rest = <Value>(files: Readonly<Record<string, Value>>): Record<string, Value> =>
    Object.fromEntries(Object.entries(files).filter(([path]) => !paths.includes(path)));
  const tests = Object.entries(database.tests).map(([id, files]) => [id, rest(files)] as const);
  return {
    format: 1,
    lines: rest(database.lines),
    functions: rest(database.functions),
    tests: Object.fromEntries(tests),
  };
}

/** The database with new measurements, which replace a test's former ones. */
export function addMeasurements(database: CoverageDatabase, measured: ReadonlyMap<string, Coverage>): CoverageDatabase {
  const lines: Record<string, Set<number>> = {};
  for (const [path, text] of Object.entries(database.lines)) lines[path] = new Set(decodeLines(text));
  const functions = { ...database.functions };
  const tests = { ...database.tests };
  for (const [id, coverage] of measured) {
    const reached: Record<string, string> = {};
    for (const [path, file] of coverage) {
      const known = (lines[path] ??= new Set());
      for (const line of file.lines.keys()) known.add(line);
      functions[path] = [...file.functions].map(([name, { line, lastLine }]) => [name, line, lastLine] as const);
      const ran = [...file.lines].filter(([, count]) => count > 0).map(([line]) => line);
      if (ran.length > 0) reached[path] = encodeLines(ran);
    }
    tests[id] = reached;
  }
  const encoded = Object.entries(lines).map(([path, all]) => [path, encodeLines(all)] as const);
  return { format: 1, lines: Object.fromEntries(encoded), functions, tests };
}

/** Each line with the number of ids that reached it: tests, commands and the boot. */
export function databaseCoverage(database: CoverageDatabase): Coverage {
  const files = Object.keys(database.lines).map((path) => {
    const counts = [...testsByLine(database, path)].map(([line, ids]) => [line, ids.length] as const);
    const lines = new Map(counts);
    const functions = (database.functions[path] ?? []).map(([name, line, lastLine]) => {
      return [name, { line, lastLine, count: lines.get(line) ?? 0 }] as const;
    });
    return [path, { lines, functions: new Map(functions) }] as const;
  });
  return new Map(files);
}

/** The tests that reached each line of a file, `(boot)` and `(afterwards)` included. */
export function testsByLine(database: CoverageDatabase, path: string): Map<number, string[]> {
  const found = new Map<number, string[]>(decodeLines(database.lines[path] ?? "").map((line) => [line, []]));
  for (const [id, files] of Object.entries(database.tests)) {
    for (const line of decodeLines(files[path] ?? "")) found.get(line)?.push(id);
  }
  return found;
}

import type { Coverage } from "./file-coverage";
import { decodeLines, encodeLines } from "./line-ranges";

/** The lines that each test reached, by the test's id and the file. */
export type ReachedLines = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Which test reached which lines of one kernel: plain data, kept as JSON. */
export interface CoverageDatabase {
  /** The version of this layout. */
  readonly format: 2;
  /** All lines with code, by file. */
  readonly lines: Readonly<Record<string, string>>;
  /** Functions by file: name, first and last line. */
  readonly functions: Readonly<Record<string, readonly (readonly [name: string, first: number, last: number])[]>>;
  /** By the VM's devices and IOMMU (`igb+intel`), on which the lines of the same test depend. */
  readonly machines: Readonly<Record<string, ReachedLines>>;
}

/** A database in which nothing has run. */
export const EMPTY_DATABASE: CoverageDatabase = { format: 2, lines: {}, functions: {}, machines: {} };

/** The id of what ran before the first test. It is no test. */
export const BOOT = "(boot)";
/** The id of what ran after the last test. It is no test. */
export const AFTERWARDS = "(afterwards)";

/** The id of a command that ran as a whole. It is no test, because nobody knows what is in it. */
export function commandId(words: readonly string[]): string {
  return `$ ${words.join(" ")}`;
}

/** Whether an id of the database belongs to a test, which can run again. */
export function isTest(id: string): boolean {
  return id !== BOOT && id !== AFTERWARDS && !isCommand(id);
}

/** Whether an id of the database is a command's that ran as a whole, such as a program of the kernel's C suite. */
export function isCommand(id: string): boolean {
  return id.startsWith("$ ");
}

/** All ids of the database, each once. */
export function measuredIds({ machines }: CoverageDatabase): string[] {
  return [...new Set(Object.values(machines).flatMap((tests) => Object.keys(tests)))];
}

/** The database without what it knows of these files. */
export function forgetFiles(database: CoverageDatabase, paths: readonly string[]): CoverageDatabase {
  const rest = <Value>(files: Readonly<Record<string, Value>>): Record<string, Value> =>
    Object.fromEntries(Object.entries(files).filter(([path]) => !paths.includes(path)));
  const machines = Object.entries(database.machines).map(([machine, ids]) => {
    const tests = Object.entries(ids).map(([id, files]) => [id, rest(files)] as const);
    return [machine, Object.fromEntries(tests)] as const;
  });
  return {
    format: 2,
    lines: rest(database.lines),
    functions: rest(database.functions),
    machines: Object.fromEntries(machines),
  };
}

/** The database with new measurements of a machine, which replace a test's former ones there. */
export function addMeasurements(
  database: CoverageDatabase,
  machine: string,
  measured: ReadonlyMap<string, Coverage>,
): CoverageDatabase {
  const lines: Record<string, Set<number>> = {};
  for (const [path, text] of Object.entries(database.lines)) lines[path] = new Set(decodeLines(text));
  const functions = { ...database.functions };
  const tests: Record<string, Readonly<Record<string, string>>> = { ...database.machines[machine] };
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
  const machines = { ...database.machines, [machine]: tests };
  return { format: 2, lines: Object.fromEntries(encoded), functions, machines };
}

/** Each line with the number of ids that reached it: tests, commands and the boot, or those that `isWanted` accepts. */
export function databaseCoverage(database: CoverageDatabase, isWanted: (id: string) => boolean = () => true): Coverage {
  const files = Object.keys(database.lines).map((path) => {
    const counts = [...testsByLine(database, path)].map(([line, ids]) => [line, ids.filter(isWanted).length] as const);
    const lines = new Map(counts);
    const functions = (database.functions[path] ?? []).map(([name, line, lastLine]) => {
      return [name, { line, lastLine, count: lines.get(line) ?? 0 }] as const;
    });
    return [path, { lines, functions: new Map(functions) }] as const;
  });
  return new Map(files);
}

/** The tests that reached each line of a file, on any machine, `(boot)` and `(afterwards)` included. */
export function testsByLine(database: CoverageDatabase, path: string): Map<number, string[]> {
  const found = new Map(decodeLines(database.lines[path] ?? "").map((line) => [line, new Set<string>()]));
  for (const tests of Object.values(database.machines)) {
    for (const [id, files] of Object.entries(tests)) {
      for (const line of decodeLines(files[path] ?? "")) found.get(line)?.add(id);
    }
  }
  return new Map([...found].map(([line, ids]) => [line, [...ids]]));
}

import { type CoverageDatabase, EMPTY_DATABASE } from "./coverage-database";

/** Reads a database that `lab run --coverage` keeps. Throws a SyntaxError that says where the text is none of this version. */
export function parseDatabase(text: string): CoverageDatabase {
  const value: unknown = JSON.parse(text);
  const { format, lines, functions, machines } = recordOf(value, "the file");
  const known = EMPTY_DATABASE.format;
  if (format !== known) throw new SyntaxError(`its format is ${shown(format)}, and this program reads format ${known}`);
  requireRanges(lines, "lines");
  for (const [path, all] of Object.entries(recordOf(functions, "functions")))
    requireFunctions(all, `functions[${shown(path)}]`);
  for (const [machine, tests] of Object.entries(recordOf(machines, "machines"))) {
    for (const [id, files] of Object.entries(recordOf(tests, `machines[${shown(machine)}]`))) {
      requireRanges(files, `the lines of ${shown(id)}`);
    }
  }
  return value as CoverageDatabase;
}

const RANGES = /^(?:\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)?$/;
/** More than any source file has. A wider range would only fill the memory. */
const MOST_LINES = 1_000_000;

function requireRanges(value: unknown, place: string): void {
  for (const [path, ranges] of Object.entries(recordOf(value, place))) {
    const numbers =
      typeof ranges === "string" && RANGES.test(ranges) ? (ranges.match(/\d+/g) ?? []).map(Number) : [NaN];
    const isAscending = numbers.every((number, index) => number >= (numbers[index - 1] ?? 1) && number <= MOST_LINES);
    if (!isAscending) throw new SyntaxError(`${place}: ${shown(path)} is ${shown(ranges)}; allowed: lines like 3,7-12`);
  }
}

function requireFunctions(value: unknown, place: string): void {
  const isFunction = (one: unknown): boolean =>
    Array.isArray(one) &&
    one.length === 3 &&
    typeof one[0] === "string" &&
    Number.isInteger(one[1]) &&
    Number.isInteger(one[2]);
  if (!Array.isArray(value) || !value.every(isFunction)) {
    throw new SyntaxError(`${place} is ${shown(value)}; allowed: a list of name, first and last line`);
  }
}

function recordOf(value: unknown, place: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new SyntaxError(`${place} is ${shown(value)}; allowed: an object`);
  }
  return value as Readonly<Record<string, unknown>>;
}

function shown(value: unknown): string {
  return value === undefined ? "missing" : JSON.stringify(value).slice(0, 60);
}

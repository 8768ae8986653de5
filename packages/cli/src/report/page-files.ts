import {
  type Coverage,
  fileShares,
  folderShares,
  parseDatabase,
  parseLcov,
  type Share,
  type ShareColumn,
} from "@vfio-selftests/coverage";
import {
  invalidReport,
  type PageBenchmark,
  type PageCoverage,
  type PageRun,
  parseBenchReport,
  parseReport,
  readReportText,
} from "@vfio-selftests/harness/reports";
import { columnsOf } from "../coverage/coverage-columns";
import { shortNames } from "./short-names";

/** The files of a page by their kinds. */
export interface PageFiles {
  readonly runs: readonly PageRun[];
  readonly benchmarks: readonly PageBenchmark[];
  readonly coverages: readonly PageCoverage[];
}

/** Reads every file, each as the kind that its content is. Throws ERR_INVALID_REPORT for the first that is of none. */
export function readPageFiles(files: readonly string[]): PageFiles {
  const names = shortNames(files);
  const found = { runs: [] as PageRun[], benchmarks: [] as PageBenchmark[], coverages: [] as PageCoverage[] };
  for (const [index, file] of files.entries()) {
    const name = names[index] ?? file;
    const text = readReportText(file);
    switch (kindOf(text)) {
      case "benchmark":
        found.benchmarks.push({ name, report: parseBenchReport(text, file) });
        break;
      case "tracefile":
        found.coverages.push(
          tracefile(
            name,
            asCoverage(file, () => parseLcov(text)),
          ),
        );
        break;
      case "database": {
        const database = asCoverage(file, () => parseDatabase(text));
        const machines = Object.keys(database.machines).join(", ");
        found.coverages.push(coverageOf(name, [`Machines: ${machines}`], columnsOf(database, fileShares)));
        break;
      }
      case "run":
        found.runs.push({ name, report: parseReport(text, file) });
    }
  }
  return found;
}

type Kind = "run" | "benchmark" | "tracefile" | "database";

/** By what only this kind has. What is nothing else gets the errors of a run's report. */
function kindOf(text: string): Kind {
  if (/^(?:TN|SF|VER):/m.test(text.slice(0, 1000)) && !text.trimStart().startsWith("{")) return "tracefile";
  const fields = fieldsOf(text);
  if (fields.includes("tests")) return "run";
  if (fields.includes("machines")) return "database";
  return fields.includes("rounds") ? "benchmark" : "run";
}

function fieldsOf(text: string): readonly string[] {
  try {
    return Object.keys((JSON.parse(text) ?? {}) as object);
  } catch {
    return [];
  }
}

function asCoverage<T>(file: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw invalidReport(
      file,
      error.message,
      "give it whole, as `lab run --coverage` or lcov wrote it, or leave it out",
    );
  }
}

/** Its paths are whole, so the page leaves out the folder that all of them share. */
function tracefile(name: string, coverage: Coverage): PageCoverage {
  const folder = commonFolder([...coverage.keys()]);
  const below = new Map([...coverage].map(([path, file]) => [path.slice(folder.length), file] as const));
  const facts = folder === "" ? [] : [`Paths are below ${folder}`];
  return coverageOf(name, facts, [{ title: "reached", shares: fileShares(below) }]);
}

/** With the slash at its end. */
function commonFolder([first = "", ...others]: readonly string[]): string {
  const parts = first.split("/").slice(0, -1);
  const prefixes = parts.map((_, index) => `${parts.slice(0, index + 1).join("/")}/`);
  return prefixes.findLast((prefix) => others.every((path) => path.startsWith(prefix))) ?? "";
}

function coverageOf(name: string, facts: readonly string[], columns: readonly ShareColumn[]): PageCoverage {
  const folders = columns.map(({ title, shares }) => ({ title, shares: folderShares(shares) }));
  return { name, facts, folders: rowsOf(folders), files: rowsOf(columns) };
}

function rowsOf(columns: readonly ShareColumn[]): PageCoverage["files"] {
  const first: readonly Share[] = columns[0]?.shares ?? [];
  return first.map(({ name: path }, row) => ({
    path,
    shares: columns.map(({ title, shares }) => ({
      title,
      lines: shares[row]?.lines ?? 0,
      reached: shares[row]?.reached ?? 0,
    })),
  }));
}

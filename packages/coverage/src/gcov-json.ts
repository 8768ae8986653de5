import { relative, resolve } from "node:path";
import type { Coverage, FileCoverage, FunctionCoverage } from "./file-coverage";
import { mergeCoverage } from "./file-coverage";

/** What we use of a document of `gcov --json-format` (gcc's documentation, "Invoking gcov"). */
export interface GcovDocument {
  /** The data file's name on gcov's command line. */
  readonly data_file: string;
  readonly current_working_directory: string;
  readonly files: readonly {
    /** Relative to the folder above, or absolute. */
    readonly file: string;
    readonly functions: readonly {
      readonly name: string;
      readonly start_line: number;
      readonly end_line: number;
      readonly execution_count: number;
    }[];
    readonly lines: readonly { readonly line_number: number; readonly count: number }[];
  }[];
}

/** The documents in gcov's standard output: one line for each data file. */
export function parseGcovOutput(text: string): GcovDocument[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as GcovDocument);
}

/** What ran of the wanted files below the tree, by their paths in the tree. */
export function gcovCoverage(document: GcovDocument, tree: string, isWanted: (path: string) => boolean): Coverage {
  const parts = document.files.map(({ file, lines, functions }): Coverage => {
    const path = relative(tree, resolve(document.current_working_directory, file));
    return path.startsWith("..") || !isWanted(path) ? new Map() : new Map([[path, fileCoverage(lines, functions)]]);
  });
  return mergeCoverage(parts);
}

type GcovFile = GcovDocument["files"][number];

/** gcov lists a line once for each function that has it (inlined, or made by a macro). This adds the counts. */
function fileCoverage(lines: GcovFile["lines"], functions: GcovFile["functions"]): FileCoverage {
  const counts = new Map<number, number>();
  for (const { line_number: line, count } of lines) counts.set(line, (counts.get(line) ?? 0) + count);
  const named = new Map<string, FunctionCoverage>();
  for (const { name, start_line: line, end_line: lastLine, execution_count: count } of functions) {
    named.set(name, { line, lastLine, count: (named.get(name)?.count ?? 0) + count });
  }
  return { lines: counts, functions: named };
}

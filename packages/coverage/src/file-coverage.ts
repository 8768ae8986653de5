/** What ran of a function. */
export interface FunctionCoverage {
  /** Where it begins. */
  readonly line: number;
  /** Where it ends. */
  readonly lastLine: number;
  /** How often it was entered. */
  readonly count: number;
}

/** What ran of one source file. */
export interface FileCoverage {
  /** How often each line with code ran; 0 for one that never ran. */
  readonly lines: ReadonlyMap<number, number>;
  /** By name. */
  readonly functions: ReadonlyMap<string, FunctionCoverage>;
}

/** What ran, by the source files' paths in the tree. */
export type Coverage = ReadonlyMap<string, FileCoverage>;

/** The sum. It counts a header's and an inline function's lines over all objects that contain them. */
export function mergeCoverage(parts: Iterable<Coverage>): Coverage {
  const merged = new Map<string, FileCoverage>();
  for (const part of parts) {
    for (const [path, file] of part) {
      const present = merged.get(path);
      merged.set(path, present === undefined ? file : mergeFile(present, file));
    }
  }
  return merged;
}

/**
 * What ran between two readings of counters that only grow. Files, lines and functions that the earlier reading lacks
 * ran as often as the later one says.
 */
export function coverageSince(earlier: Coverage, later: Coverage): Coverage {
  return new Map([...later].map(([path, file]) => [path, fileSince(earlier.get(path), file)]));
}

function mergeFile(a: FileCoverage, b: FileCoverage): FileCoverage {
  const lines = new Map(a.lines);
  for (const [line, count] of b.lines) lines.set(line, (lines.get(line) ?? 0) + count);
  const functions = new Map(a.functions);
  for (const [name, added] of b.functions) {
    const present = functions.get(name);
    functions.set(name, present === undefined ? added : { ...present, count: present.count + added.count });
  }
  return { lines, functions };
}

function fileSince(earlier: FileCoverage | undefined, later: FileCoverage): FileCoverage {
  if (earlier === undefined) return later;
  const lines = [...later.lines].map(([line, count]) => [line, count - (earlier.lines.get(line) ?? 0)] as const);
  const functions = [...later.functions].map(([name, ran]) => {
    return [name, { ...ran, count: ran.count - (earlier.functions.get(name)?.count ?? 0) }] as const;
  });
  return { lines: new Map(lines), functions: new Map(functions) };
}

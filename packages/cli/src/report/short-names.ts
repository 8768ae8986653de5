import { basename } from "node:path";

/** The reports' names without folder and ending, or the whole paths where those are not different. */
export function shortNames(files: readonly string[]): readonly string[] {
  const names = files.map((file) => basename(file, ".json"));
  return new Set(names).size === names.length ? names : files;
}

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { MutantSet } from "./mutant-set";

const OWN_FILES = join(__dirname, "../../kernel");

/** Folders of the kernel tree that get new files: the switch's declaration, and the switch itself. */
export const SWITCH_FOLDERS = ["include/linux", "lib"] as const;

/** Writes the mutated files and the switch into a tree of ours. An unchanged file keeps its time. */
export function writeMutants(tree: string, set: MutantSet): void {
  for (const { path, text } of set.texts()) writeChanged(join(tree, path), text);
  writeChanged(join(tree, "include/linux/mutants.h"), readFileSync(join(OWN_FILES, "mutants.h"), "utf8"));
  mkdirSync(join(tree, "lib"), { recursive: true });
  copyFileSync(join(OWN_FILES, "mutants.c"), join(tree, "lib/mutants.c"));
  writeChanged(join(tree, "lib/mutants-set.h"), `#define MUTANTS ${set.size}\n#define MUTANTS_KEY "${set.key()}"\n`);
  const makefile = join(tree, "lib/Makefile");
  const rules = readFileSync(makefile, "utf8");
  if (!rules.includes("mutants.o")) writeChanged(makefile, `${rules}\nobj-y += mutants.o\n`);
}

function writeChanged(path: string, text: string): void {
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

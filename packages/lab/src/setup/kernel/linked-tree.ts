import { lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";

/**
 * Shows a source tree, by links, in a folder that also holds the build folder, and gives that folder; `build` becomes a link to the
 * build folder. make then names every source as `../…` (the kernel's Makefile: `srcroot` of a build in a subfolder), wherever the
 * tree is. So a patched tree is compiled with the very commands of its origin, and ccache knows all files that the patch leaves alone.
 */
export function linkedTree(tree: string, build: string): string {
  const folder = `${build}-tree`;
  mkdirSync(join(folder, "build"), { recursive: true });
  for (const name of readdirSync(tree)) link(join(tree, name), join(folder, name));
  link(join(folder, "build"), build);
  return folder;
}

/** What is there already stays when it is a link. */
function link(target: string, path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSymbolicLink() === true) return;
  if (found !== undefined) rmSync(path, { recursive: true });
  symlinkSync(target, path);
}

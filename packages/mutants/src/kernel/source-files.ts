import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { argumentError } from "@vfio-selftests/core/errors";
import type { SourceFile } from "./mutant-set";

/** The folders and files of the kernel tree that get mutants by default. */
export const DEFAULT_PATHS = [
  "drivers/vfio",
  "drivers/iommu/iommufd",
  "virt/kvm/vfio.c",
  "virt/kvm/eventfd.c",
] as const;

/** The kernel's own tests, which are not what is tested, and the tables of trace points. */
const LEFT_OUT = /(?:^|\/)(?:selftest\.c|iommufd_test\.h|trace\.h)$/;

/** The C files below paths of a kernel tree, in the same order on every machine. */
export function readSourceFiles(tree: string, paths: readonly string[] = DEFAULT_PATHS): SourceFile[] {
  const files = new Set(paths.flatMap((path) => filesBelow(tree, path)));
  return [...files].sort().map((path) => ({ path, text: readFileSync(join(tree, path), "utf8") }));
}

function filesBelow(tree: string, path: string): string[] {
  const full = join(tree, path);
  if (!existsSync(full) || path.split("/").includes("..")) {
    throw argumentError("lab mutate", "files", path, "a folder or file of the kernel tree");
  }
  if (!statSync(full).isDirectory()) return [path];
  return readdirSync(full, { withFileTypes: true }).flatMap((entry) => {
    const inside = `${path.replace(/\/+$/, "")}/${entry.name}`;
    if (entry.isDirectory()) return filesBelow(tree, inside);
    return /\.[ch]$/.test(entry.name) && !LEFT_OUT.test(inside) ? [inside] : [];
  });
}

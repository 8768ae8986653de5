import { type Dirent, readdirSync } from "node:fs";
import { join } from "node:path";

/** The Markdown files below a folder, from there. The walk follows no links: packages link to each other in `node_modules`. */
export function pagesBelow(folder: string): readonly string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.filter(({ name }) => name !== "node_modules").flatMap((entry) => pagesAt(folder, entry));
}

function pagesAt(folder: string, entry: Dirent): readonly string[] {
  const { name } = entry;
  if (!entry.isDirectory()) return name.endsWith(".md") ? [name] : [];
  return pagesBelow(join(folder, name)).map((page) => join(name, page));
}

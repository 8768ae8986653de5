import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { PackageNames } from "./package-names";

export type ModuleFormat = "commonjs" | "esm";

/** A file of the new package: its path in there, and its text. */
export interface NewFile {
  readonly path: string;
  readonly text: string;
}

/** The words of a template that are replaced. They are names in TypeScript, too, so that the templates compile as they are. */
const PLACEHOLDERS: Readonly<Record<string, keyof PackageNames>> = {
  __PACKAGE_NAME__: "packageName",
  __DRIVER_NAME__: "driverName",
};

const TEMPLATES = join(__dirname, "../../templates/driver");
/** npm packs no file that is called `.gitignore`, so the templates have `dot-` for the dot. */
const DOT = /^dot-/;
/** The template of `package.json`, which under its own name would be the manifest of a package inside ours. */
const MANIFEST = "manifest.json";

/** The files of a driver package with these names. */
export function driverPackage(format: ModuleFormat, names: PackageNames): NewFile[] {
  return [...filesIn(join(TEMPLATES, "common")), ...filesIn(join(TEMPLATES, format))].map(({ path, text }) => ({
    path: path === MANIFEST ? "package.json" : path.replace(DOT, "."),
    text: path === MANIFEST ? withVersions(replaced(text, names)) : replaced(text, names),
  }));
}

function filesIn(folder: string): NewFile[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => ({ path: file.slice(folder.length + 1), text: readFileSync(file, "utf8") }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

function replaced(text: string, names: PackageNames): string {
  let result = text;
  for (const [word, key] of Object.entries(PLACEHOLDERS)) result = result.replaceAll(word, names[key]);
  return result;
}

/** Replaces `"@vfio-selftests/core": "workspace:^"` by the version that is installed beside this command. */
function withVersions(manifest: string): string {
  return manifest.replace(
    /"(@vfio-selftests\/[\w-]+)": "workspace:\^"/g,
    (_, name: string) => `"${name}": "^${installedVersion(name)}"`,
  );
}

function installedVersion(name: string): string {
  const file =
    name === "@vfio-selftests/cli" ? join(__dirname, "../../package.json") : require.resolve(`${name}/package.json`);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

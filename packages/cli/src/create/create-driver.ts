import { basename, relative, resolve } from "node:path";
import { ExitCode } from "../exit-codes";
import { driverPackage } from "./driver-template";
import { packageNames } from "./package-names";
import { writePackage } from "./write-package";

export interface CreateDriverOptions {
  readonly esm?: boolean;
  readonly name?: string;
}

/** `create driver`: writes a driver package that passes its tests as it is. */
export function createDriver(path: string, { esm = false, name }: CreateDriverOptions): number {
  const folder = resolve(path);
  const names = packageNames(name ?? basename(folder));
  const files = driverPackage(esm ? "esm" : "commonjs", names);
  writePackage(folder, files);
  const lines = [
    `${names.packageName} is in ${folder}: ${files.length} files. Next:`,
    "",
    ...(folder === process.cwd() ? [] : [`  cd ${shellWord(relative(process.cwd(), folder))}`]),
    "  npm install",
    "  npm test                  # the types, then the suites on the device model",
    "  npx vfio-selftests run    # the same suites by the command",
    "",
    "README.md says what each file is for. Begin with src/registers.ts.",
  ];
  console.log(lines.join("\n"));
  return ExitCode.ok;
}

function shellWord(text: string): string {
  return /^[\w./@~+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

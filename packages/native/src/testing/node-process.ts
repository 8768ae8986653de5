import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { addonPackage } from "../load-binding";

export interface Exit {
  status: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** The built package, for code that runs outside jest: child processes and workers. */
export const builtPackage = dirname(dirname(__dirname));

function cLibrary(): "glibc" | "musl" {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined ? "musl" : "glibc";
}

/** The addon that such code loads. */
export const addonFile = process.env["VFIO_NATIVE_ADDON"] ?? require.resolve(addonPackage(process.arch, cLibrary()));

/** Puts `native` in scope at the start of such code. */
export const prelude = `const { native } = require(${JSON.stringify(join(builtPackage, "dist/index.js"))});\n`;

/** Runs `code` in a Node process of its own. SIGKILL ends one that hangs, after 30 s. */
export function runNode(code: string, flags: string[] = []): Exit {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [...flags, "-e", code], {
    encoding: "utf8",
    timeout: 30_000,
    killSignal: "SIGKILL",
  });
  return { status, signal, stdout, stderr };
}

/** For a test that measures the process's memory: the sanitizers keep what is freed. */
export const itWithoutSanitizers = process.env["VFIO_NATIVE_SANITIZED"] === undefined ? it : it.skip;

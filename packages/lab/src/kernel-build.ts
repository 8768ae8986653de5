import { VfioError } from "@vfio-selftests/core";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { execute } from "./execute";
import type { LabHost } from "./host";
import { lostOptions } from "./kernel-config";
import type { KernelSource } from "./kernel-source";

/** Our options on top of `tinyconfig`; a data file of this package. */
export const KERNEL_FRAGMENT = join(__dirname, "..", "kernel", "lab.config");

/** Disk space for the source tree and the build. Both go when the kernel is done; it keeps 5 MB. */
export const KERNEL_BUILD_BYTES = 3 * 1024 * 1024 * 1024;

/** Names the kernels that this fragment gives, whatever the version. A changed fragment makes a new kernel. */
export function fragmentKey(fragment: string): string {
  return createHash("sha256").update(fragment).digest("hex").slice(0, 12);
}

/** A kernel built before from this fragment, the newest version first found. */
export function builtKernel(kernels: string, fragment: string): string | undefined {
  const key = fragmentKey(fragment);
  if (!existsSync(kernels)) return undefined;
  const folder = readdirSync(kernels)
    .filter((name) => name.endsWith(`-${key}`))
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))[0];
  return folder === undefined ? undefined : join(kernels, folder, "bzImage");
}

/** Builds the kernel out of tree in `work` (an interrupted build goes on) and puts image and configuration into `kernels`. */
export async function buildKernel(
  host: LabHost,
  source: KernelSource,
  fragmentPath: string,
  folders: { work: string; kernels: string },
  options: { signal?: AbortSignal | undefined; onLine?: (line: string) => void },
): Promise<string> {
  const fragment = readFileSync(fragmentPath, "utf8");
  const name = `${source.version}-${fragmentKey(fragment)}`;
  const build = join(folders.work, `build-${name}`);
  mkdirSync(build, { recursive: true });
  const logFile = join(folders.work, "kernel-build.log");
  const make = async (...args: string[]): Promise<string> =>
    // `-w` off: the line that is shown should be the file at work.
    execute(host, ["make", "-C", source.folder, `O=${build}`, "--no-print-directory", ...args], {
      ...options,
      logFile,
    });
  const config = join(build, ".config");
  if (!existsSync(join(build, "configured"))) {
    await make("tinyconfig");
    writeFileSync(config, `${readFileSync(config, "utf8")}\n${fragment}`);
    await make("olddefconfig");
    checkOptions(fragment, readFileSync(config, "utf8"));
    writeFileSync(join(build, "configured"), "");
  }
  await make(`-j${host.cpus}`, "bzImage");
  const finished = join(folders.kernels, name);
  const unfinished = `${finished}.tmp`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  copyFileSync(join(build, "arch/x86/boot/bzImage"), join(unfinished, "bzImage"));
  copyFileSync(config, join(unfinished, "config"));
  rmSync(finished, { recursive: true, force: true });
  renameSync(unfinished, finished);
  rmSync(build, { recursive: true, force: true });
  rmSync(source.folder, { recursive: true, force: true });
  return join(finished, "bzImage");
}

function checkOptions(fragment: string, config: string): void {
  const lost = lostOptions(fragment, config);
  if (lost.length === 0) return;
  const list = lost.map(({ name, value, actual }) => `${name}=${value} (is ${actual})`).join(", ");
  throw new VfioError(`the kernel's configuration does not take all of our options: ${list}`, {
    code: "ERR_LAB_KERNEL_CONFIG",
    operation: "make olddefconfig",
    subject: KERNEL_FRAGMENT,
    remedy: "this kernel version has renamed or dropped them: adapt the fragment, or give an image with --kernel",
  });
}

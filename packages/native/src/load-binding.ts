import { createRequire } from "node:module";
import { resolve } from "node:path";
import type { NativeBinding } from "./binding";

type CLibrary = "glibc" | "musl";

/** Names a file to load instead: an addon of one's own build. */
const FILE_VARIABLE = "VFIO_NATIVE_ADDON";

/**
 * The package that holds the addon for a CPU as Node names it, `x64` or `arm64`. npm installs those that fit the machine, by `cpu`
 * and `libc` in their manifests. In a checkout they are below `platforms/`, where the build puts the file.
 */
export function addonPackage(arch: string, library: "glibc" | "musl" = "glibc"): string {
  return `@vfio-selftests/native-linux-${arch}-${library}`;
}

/** Loads the prebuilt addon, as seen from the module `from`. The error for a missing addon (`ERR_NO_ADDON`) says what to do. */
export function loadBinding(from: string): NativeBinding {
  const require = createRequire(from);
  const { platform, arch, version } = process;
  const named = process.env[FILE_VARIABLE] || undefined;
  const candidates =
    named === undefined ? byCLibrary().map((library) => addonPackage(arch, library)) : [resolve(named)];
  const errors: Error[] = [];
  for (const candidate of candidates) {
    try {
      return require(candidate) as NativeBinding;
    } catch (error) {
      errors.push(error as Error);
    }
  }
  // Below the first line Node lists the modules that asked.
  const reasons = errors.map(
    ({ message }, at) => `${String(candidates[at])} (${String(message.trim().split("\n")[0])})`,
  );
  const error = new AggregateError(
    errors,
    `@vfio-selftests/native has no addon that loads on ${platform}-${arch}, Node ${version}.\n` +
      `Tried: ${reasons.join(", ")}\n` +
      (named === undefined ? remedy(platform, arch) : `Remedy: unset ${FILE_VARIABLE}, or let it name an addon.`),
  );
  throw Object.assign(error, { code: "ERR_NO_ADDON" });
}

/** The process's own C library first. Yarn 1 installs the addons of both. */
function byCLibrary(): readonly CLibrary[] {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined ? ["musl", "glibc"] : ["glibc", "musl"];
}

function remedy(platform: string, arch: string): string {
  if (platform !== "linux") return "Remedy: run on Linux; VFIO is an interface of the Linux kernel.";
  if (arch !== "x64" && arch !== "arm64") {
    return `Remedy: run on x64 or arm64, or build the addon for this CPU and let ${FILE_VARIABLE} name it.`;
  }
  // The lab's guest of another CPU has no compiler, and its addon is built on the host.
  const cross = arch === "arm64" ? ", or `build:arm64` there on an x86-64 host (needs g++-aarch64-linux-gnu)" : "";
  return (
    "Remedy: in a project install the packages again, with optional dependencies (npm install --include=optional); " +
    `in a checkout run \`pnpm --filter @vfio-selftests/native build:addon\` (needs g++, make and Python 3)${cross}.`
  );
}

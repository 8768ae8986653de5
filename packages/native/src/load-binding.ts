import { createRequire } from "node:module";
import type { NativeBinding } from "./binding";

/** The C libraries that have an addon. Where several are installed, the first that loads is taken. */
const C_LIBRARIES = ["glibc", "musl"] as const;

/** Names a file to load instead: an addon of one's own build. */
const FILE_VARIABLE = "VFIO_NATIVE_ADDON";

/**
 * The package that holds the addon for a CPU as Node names it, `x64` or `arm64`. npm installs those that fit the machine, by `cpu`
 * and `libc` in their manifests. In a checkout they are below `platforms/`, where the build puts the file.
 */
export function addonPackage(arch: string, library: (typeof C_LIBRARIES)[number] = "glibc"): string {
  return `@vfio-selftests/native-linux-${arch}-${library}`;
}

/** Loads the prebuilt addon, as seen from the module `from`. The error for a missing addon says what to do. */
export function loadBinding(from: string): NativeBinding {
  const require = createRequire(from);
  const { platform, arch, version } = process;
  const named = process.env[FILE_VARIABLE];
  const candidates = named === undefined ? C_LIBRARIES.map((library) => addonPackage(arch, library)) : [named];
  const reasons: string[] = [];
  for (const candidate of candidates) {
    try {
      return require(candidate) as NativeBinding;
    } catch (error) {
      // Below the first line Node lists the modules that asked.
      const [reason] = (error as Error).message.trim().split("\n");
      reasons.push(`${candidate} (${String(reason)})`);
    }
  }
  throw new Error(
    `@vfio-selftests/native has no addon that loads on ${platform}-${arch}, Node ${version}.\n` +
      `Tried: ${reasons.join(", ")}\n` +
      (named === undefined ? remedy(platform, arch) : `Remedy: unset ${FILE_VARIABLE}, or let it name an addon.`),
  );
}

function remedy(platform: string, arch: string): string {
  if (platform !== "linux") return "Remedy: run on Linux; VFIO is an interface of the Linux kernel.";
  if (arch !== "x64" && arch !== "arm64") return "Remedy: run on x64 or arm64; the addon knows no other CPU.";
  // The lab's guest of another CPU has no compiler, and its addon is built on the host.
  const cross = arch === "arm64" ? ", or `build:arm64` there on an x86-64 host (needs g++-aarch64-linux-gnu)" : "";
  return (
    `Remedy: in a checkout run \`pnpm --filter @vfio-selftests/native build:addon\` (needs g++, make and Python 3)${cross}; ` +
    "in a project reinstall the package, with optional dependencies."
  );
}

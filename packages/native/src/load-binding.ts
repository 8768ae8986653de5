import load from "node-gyp-build";
import type { NativeBinding } from "./binding";

/** Loads the prebuilt addon below `packageDirectory`. The error for a missing addon says what to do. */
export function loadBinding(packageDirectory: string): NativeBinding {
  try {
    return load(packageDirectory) as NativeBinding;
  } catch (cause) {
    const { platform, arch, version } = process;
    const reason = cause instanceof Error ? cause.message.trim() : String(cause);
    throw new Error(
      `@vfio-selftests/native has no addon that loads on ${platform}-${arch}, Node ${version}.\n` +
        `Tried: ${packageDirectory}/prebuilds/${platform}-${arch}/vfio_native.node (${reason})\n` +
        remedy(platform, arch),
      { cause },
    );
  }
}

function remedy(platform: string, arch: string): string {
  if (platform !== "linux") return "Remedy: run on Linux; VFIO is an interface of the Linux kernel.";
  if (arch !== "x64" && arch !== "arm64") return "Remedy: run on x64 or arm64; the addon knows no other CPU.";
  // The lab's guest of another CPU has no compiler, and its addon is built on the host.
  const cross = arch === "arm64" ? ", or `build:arm64` there on an x86-64 host (needs g++-aarch64-linux-gnu)" : "";
  return (
    `Remedy: in a checkout run \`pnpm --filter @vfio-selftests/native build:addon\` (needs g++, make and Python 3)${cross}; ` +
    "in a project reinstall the package."
  );
}

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { VfioError } from "@vfio-selftests/core/errors";
import { DEFAULT_ARCHITECTURE, parseArchitecture } from "@vfio-selftests/lab";

/** Where the addons of this installation are. */
const PREBUILDS = join(dirname(require.resolve("@vfio-selftests/native/package.json")), "prebuilds");

/** Throws where the suites could not load the addon in a VM with this CPU. The host's own is loaded already. */
export function requireGuestAddon(
  { arch }: { readonly arch?: string },
  prebuilds = PREBUILDS,
  host: string = process.arch,
): void {
  const { name, node } = arch === undefined ? DEFAULT_ARCHITECTURE : parseArchitecture(arch);
  if (node === host) return;
  const path = join(prebuilds, `linux-${node}`, "vfio_native.node");
  if (existsSync(path)) return;
  throw new VfioError(`there is no addon for ${name}: ${path} does not exist`, {
    code: "ENOENT",
    operation: "lab run",
    subject: path,
    remedy: `${inCheckout(node)}; in a project reinstall @vfio-selftests/native`,
  });
}

/** The addon is built for another CPU in one direction only. */
function inCheckout(node: string): string {
  if (node === "arm64") return "in a checkout: pnpm --filter @vfio-selftests/native build:arm64";
  return "in a checkout on arm64 choose --arch arm64, because nothing here builds an addon for x86_64";
}

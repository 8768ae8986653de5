import { createRequire } from "node:module";
import { VfioError } from "@vfio-selftests/core/errors";
import { DEFAULT_ARCHITECTURE, parseArchitecture } from "@vfio-selftests/lab";
import { addonPackage } from "@vfio-selftests/native";

/** Finds packages as the module does that loads the addon: npm places the addons' where it sees them. */
const findAsLoader = createRequire(require.resolve("@vfio-selftests/native")).resolve;

/** Throws where the suites could not load the addon in a VM with this CPU. The host's own is loaded already. */
export function requireGuestAddon(
  { arch }: { readonly arch?: string },
  host: string = process.arch,
  find: (name: string) => string = findAsLoader,
): void {
  const { name, node } = arch === undefined ? DEFAULT_ARCHITECTURE : parseArchitecture(arch);
  if (node === host) return;
  const addon = addonPackage(node);
  const { version } = createRequire(__filename)("@vfio-selftests/native/package.json") as { version: string };
  try {
    find(addon);
  } catch (cause) {
    throw new VfioError(`there is no addon for ${name}: ${addon} is not installed, or not built`, {
      code: "ENOENT",
      operation: "lab run",
      subject: addon,
      remedy: `${inCheckout(node)}; in a project npm install --no-save --force ${addon}@${version}`,
      cause,
    });
  }
}

/** The addon is built for another CPU in one direction only. */
function inCheckout(node: string): string {
  if (node === "arm64") return "in a checkout: pnpm --filter @vfio-selftests/native build:arm64";
  return "in a checkout on arm64 choose --arch arm64, because nothing here builds an addon for x86_64";
}

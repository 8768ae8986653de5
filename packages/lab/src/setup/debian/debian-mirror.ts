import { argumentError } from "@vfio-selftests/core/errors";
import type { LabHost } from "../../host/host";
import { type AptSource, readAptSources } from "./apt-sources";
import { DEBIAN_KEY_RING } from "./key-ring";

/** A mirror of the Debian archive, and the fields (`Signed-By`, …) that the system's configuration gives for it. */
export interface DebianMirror {
  uri: string;
  options: Record<string, string>;
}

/** The suites from which the lab takes QEMU and the kernel source. */
export interface DebianSuites {
  stable: string;
  /** Newer packages for the same release. The lab prefers them for the packages in `FROM_BACKPORTS`. */
  backports: string;
}

export const DEFAULT_SUITES: DebianSuites = { stable: "trixie", backports: "trixie-backports" };

/** Packages that the lab takes from backports, where they are there. It takes everything else from stable. */
const FROM_BACKPORTS = ["qemu*", "seabios", "ipxe-qemu", "virtiofsd", "linux-source*"];

/** Names of releases. A main archive that has one of them has all others, which a security archive has not. */
const DEBIAN_RELEASES = new Set(
  [
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
  ].flatMap((name) => [name, `${name}-updates`, `${name}-backports`]),
);

/** Fields that belong to the release or use for which the system configured a source. */
const NOT_CARRIED_OVER = new Set(["Architectures", "Languages", "Targets", "By-Hash", "Pdiffs"]);

/**
 * The mirrors of the Debian archive among apt's sources, the likeliest first. Other vendors, too, have a suite
 * `bookworm` with a component `main`, but not at an address that ends with `/debian`.
 */
export function debianMirrors(sources: readonly AptSource[]): DebianMirror[] {
  const mirrors = new Map<string, DebianMirror>();
  for (const source of sources) {
    const architectures = source.options["Architectures"];
    if (architectures !== undefined && !architectures.split(/\s+/).includes("amd64")) continue;
    if (!source.components.includes("main") || !source.suites.some((suite) => DEBIAN_RELEASES.has(suite))) continue;
    for (const uri of source.uris) {
      if (!/^(https?|file|mirror(\+\w+)?):/.test(uri)) continue;
      const options = Object.entries(source.options).filter(([name]) => !NOT_CARRIED_OVER.has(name));
      if (!mirrors.has(uri)) mirrors.set(uri, { uri, options: Object.fromEntries(options) });
    }
  }
  const rank = ({ uri }: DebianMirror): number => (/\/debian\/?$/.test(uri) ? 0 : 1);
  return [...mirrors.values()].sort((a, b) => rank(a) - rank(b));
}

/** Debian's own address, which serves every country from nearby. */
export const PUBLIC_MIRROR = "https://deb.debian.org/debian";
/** The environment variable that names another mirror. */
export const MIRROR_VARIABLE = "VFIO_SELFTESTS_DEBIAN_MIRROR";
export const MIRROR_REMEDY =
  `check the network and the proxy settings; or name a mirror of Debian, which the lab's own keys check: ` +
  `${MIRROR_VARIABLE}=${PUBLIC_MIRROR}`;

/**
 * The mirrors that the set-up tries: the one that the user names, else those of the system's configuration, else
 * Debian's public one. The lab's key ring vouches for a mirror that the system does not know. It throws
 * ERR_INVALID_ARGUMENT for a name that is no address.
 */
export function chosenMirrors(host: LabHost): readonly [DebianMirror, ...DebianMirror[]] {
  const ours = { "Signed-By": DEBIAN_KEY_RING };
  const named = host.env[MIRROR_VARIABLE] ?? "";
  if (named !== "") {
    if (!/^(https?|file):\/\/?\S+$/.test(named)) {
      throw argumentError("lab setup", MIRROR_VARIABLE, named, `an address such as ${PUBLIC_MIRROR}`);
    }
    return [{ uri: named, options: ours }];
  }
  const [first, ...others] = debianMirrors(readAptSources(host));
  return first === undefined ? [{ uri: PUBLIC_MIRROR, options: ours }] : [first, ...others];
}

/** A deb822 sources file that offers both suites at a mirror. */
export function mirrorSources(mirror: DebianMirror, suites: DebianSuites, architecture = "amd64"): string {
  const options = Object.entries(mirror.options).map(([name, value]) => `${name}: ${value}`);
  return [
    "Types: deb",
    `URIs: ${mirror.uri}`,
    `Suites: ${suites.stable} ${suites.backports}`,
    "Components: main",
    `Architectures: ${architecture}`,
    ...options,
    "",
  ].join("\n");
}

/** apt preferences that put backports above stable for the packages that the lab wants new. */
export function backportsPreferences(suites: DebianSuites): string {
  return [`Package: ${FROM_BACKPORTS.join(" ")}`, `Pin: release n=${suites.backports}`, "Pin-Priority: 600", ""].join(
    "\n",
  );
}

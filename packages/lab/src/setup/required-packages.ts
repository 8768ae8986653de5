import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import type { LabArchitecture } from "../architecture/lab-architecture";
import { howToInstall, readDistribution, usesApt } from "../distribution/distribution";
import { execute } from "../host/execute";
import { findProgram } from "../host/find-program";
import { type LabHost, systemPath } from "../host/host";
import { qemuPackages } from "../machine/qemu";
import type { DebianMirror } from "./debian/debian-mirror";

/** Something a set-up step needs from the system: a program in `PATH`, a C header, or a file. */
export interface Requirement {
  readonly program?: string;
  /** As C code includes it. */
  readonly header?: string;
  readonly file?: string;
  /** The Debian package that has it. */
  readonly package: string;
}

export const QEMU_ROOT_REQUIREMENTS: readonly Requirement[] = [
  { program: "mmdebstrap", package: "mmdebstrap" },
  { program: "apt-get", package: "apt" },
];

export const GUEST_ROOT_REQUIREMENTS: readonly Requirement[] = [
  ...QEMU_ROOT_REQUIREMENTS,
  { program: "npm", package: "npm" },
  { program: "tar", package: "tar" },
];

const KERNEL_BUILD_REQUIREMENTS: readonly Requirement[] = [
  // It reads Debian's packages, too.
  { program: "ar", package: "binutils" },
  { program: "tar", package: "tar" },
  { program: "xz", package: "xz-utils" },
  { program: "make", package: "make" },
  { program: "flex", package: "flex" },
  { program: "bison", package: "bison" },
  { program: "bc", package: "bc" },
  { program: "perl", package: "perl" },
  // objtool needs it, which every x86_64 kernel build runs over its objects.
  { header: "gelf.h", package: "libelf-dev" },
];

/** What fetches packages and checks their signatures where no apt does. */
const ARCHIVE_REQUIREMENTS: readonly Requirement[] = [
  { program: "curl", package: "curl" },
  { program: "gpgv", package: "gpgv" },
];

/** Without it, apt reaches no mirror by https. */
const CERTIFICATES: Requirement = { file: "/etc/ssl/certs/ca-certificates.crt", package: "ca-certificates" };

export function archiveRequirements(host: LabHost, mirrors: readonly DebianMirror[]): readonly Requirement[] {
  if (!usesApt(host)) return ARCHIVE_REQUIREMENTS;
  const isSecure = mirrors.every(({ uri }) => uri.startsWith("https:"));
  return [{ program: "apt-get", package: "apt" }, ...(isSecure ? [CERTIFICATES] : [])];
}

/** Throws ERR_LAB_TOOLS_MISSING on a system without apt, which alone can make the trees of Debian packages. */
export function requireApt(host: LabHost, purpose: string, architecture: LabArchitecture): void {
  if (usesApt(host)) return;
  const { name } = readDistribution(host);
  throw new VfioError(`${purpose} takes apt and mmdebstrap, which ${name === "" ? "this system" : name} does not use`, {
    code: "ERR_LAB_TOOLS_MISSING",
    operation: "lab setup",
    subject: architecture.qemu.program,
    remedy: `use the system's own QEMU: ${howToInstall(host, qemuPackages(architecture))}; a lab for another CPU takes Debian or Ubuntu`,
  });
}

export function kernelBuildRequirements({ kernel }: LabArchitecture): Requirement[] {
  return [...KERNEL_BUILD_REQUIREMENTS, ...kernel.tools];
}

export function missingPackages(host: LabHost, requirements: readonly Requirement[]): string[] {
  const missing = requirements.filter(
    ({ program, header, file }) =>
      (program !== undefined && findProgram(host, program) === undefined) ||
      (header !== undefined && !headerFolders(host).some((folder) => existsSync(join(folder, header)))) ||
      (file !== undefined && !existsSync(systemPath(host, file))),
  );
  return [...new Set(missing.map((requirement) => requirement.package))];
}

/** Where a C compiler finds headers. NixOS has no `/usr/include`: `nix-shell` names the folders. */
function headerFolders(host: LabHost): string[] {
  const fromNix = (host.env["NIX_CFLAGS_COMPILE"] ?? "").split(/\s+/).filter((word) => isAbsolute(word));
  const fromPath = (host.env["CPATH"] ?? "").split(":").filter((folder) => folder !== "");
  return [systemPath(host, "/usr/include"), ...fromPath, ...fromNix];
}

/** Decides whether this command, run as root, may install the packages. The signal ends a question. */
export type MayInstall = (
  packages: readonly string[],
  command: string,
  signal: AbortSignal | undefined,
) => boolean | Promise<boolean>;

export interface InstallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onLine?: (line: string) => void;
  /** Default: installs nothing. */
  readonly mayInstall?: MayInstall | undefined;
}

/**
 * Installs missing packages as root, where there is apt and `mayInstall` allows it. Else throws ERR_LAB_TOOLS_MISSING.
 */
export async function requirePackages(
  host: LabHost,
  requirements: readonly Requirement[],
  purpose: string,
  { mayInstall = () => false, ...options }: InstallOptions = {},
): Promise<void> {
  const missing = missingPackages(host, requirements);
  if (missing.length === 0) return;
  const apt = readDistribution(host).manager?.program === "apt-get" ? findProgram(host, "apt-get") : undefined;
  const list = missing.join(" ");
  const command = `apt-get install --no-install-recommends ${list}`;
  const root = host.uid === 0;
  const allowed = root && apt !== undefined && (await mayInstall(missing, command, options.signal));
  options.signal?.throwIfAborted();
  if (!allowed) {
    throw new VfioError(`${purpose} needs what is not installed: ${list}`, {
      code: "ERR_LAB_TOOLS_MISSING",
      operation: "lab setup",
      subject: list,
      remedy: root && apt !== undefined ? `${command}, or give --yes to have it done` : howToInstall(host, missing),
    });
  }
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const install = [apt, "install", "--yes", "--no-install-recommends", ...missing];
  try {
    await execute(host, install, { env, ...options });
  } catch {
    options.signal?.throwIfAborted();
    // The package lists may be old or absent.
    await execute(host, [apt, "update"], { env, ...options });
    await execute(host, install, { env, remedy: `install them yourself: ${command}`, ...options });
  }
}

import { existsSync } from "node:fs";
import { VfioError } from "@vfio-selftests/core";
import type { LabArchitecture } from "../architecture/lab-architecture";
import { execute } from "../host/execute";
import { findProgram } from "../host/find-program";
import { type LabHost, systemPath } from "../host/host";

/** Something a set-up step needs from the system: a program in `PATH`, or a C header. */
export interface Requirement {
  readonly program?: string;
  readonly header?: string;
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
  { program: "apt-get", package: "apt" },
  { program: "dpkg-deb", package: "dpkg" },
  { program: "tar", package: "tar" },
  { program: "xz", package: "xz-utils" },
  { program: "make", package: "make" },
  { program: "flex", package: "flex" },
  { program: "bison", package: "bison" },
  { program: "bc", package: "bc" },
  { program: "perl", package: "perl" },
  // objtool needs it, which every x86_64 kernel build runs over its objects.
  { header: "/usr/include/gelf.h", package: "libelf-dev" },
];

export function kernelBuildRequirements({ kernel }: LabArchitecture): Requirement[] {
  return [...KERNEL_BUILD_REQUIREMENTS, ...kernel.tools];
}

export function missingPackages(host: LabHost, requirements: readonly Requirement[]): string[] {
  const missing = requirements.filter(
    ({ program, header }) =>
      (program !== undefined && findProgram(host, program) === undefined) ||
      (header !== undefined && !existsSync(systemPath(host, header))),
  );
  return [...new Set(missing.map((requirement) => requirement.package))];
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
  const apt = findProgram(host, "apt-get");
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
      remedy:
        apt === undefined
          ? `install the equivalents of these Debian packages: ${list}`
          : root
            ? `${command}, or give --yes to have it done`
            : `sudo ${command}`,
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

import { readFileSync } from "node:fs";
import { findProgram } from "../host/find-program";
import { type LabHost, systemPath } from "../host/host";
import { installCommand, PACKAGE_MANAGERS, type PackageManager } from "./package-managers";

/** What the system calls itself (os-release(5)), and how one installs packages there. */
export interface Distribution {
  /** `Fedora Linux 43`. Empty where the system does not say. */
  readonly name: string;
  /** Undefined for one that the lab has no package names for. */
  readonly manager: PackageManager | undefined;
}

export function readDistribution(host: LabHost): Distribution {
  const fields = readOsRelease(host);
  const ids = [fields.get("ID") ?? "", ...(fields.get("ID_LIKE") ?? "").split(/\s+/)];
  const name = fields.get("PRETTY_NAME") ?? fields.get("NAME") ?? "";
  const byName = PACKAGE_MANAGERS.find((manager) => ids.some((id) => manager.distributions.includes(id)));
  // A system without the file, or with another name, has the packages of its package manager's distribution.
  const byProgram = (): PackageManager | undefined =>
    PACKAGE_MANAGERS.find(({ program }) => findProgram(host, program) !== undefined);
  return { name, manager: byName ?? byProgram() };
}

/** Whether apt can serve the lab: it is there, or the system's own way to install it is itself. */
export function usesApt(host: LabHost): boolean {
  return findProgram(host, "apt-get") !== undefined || readDistribution(host).manager?.program === "apt-get";
}

/** The command by which this user installs packages here, which it takes by Debian's names. Undefined: unknown. */
export function installCommandHere(host: LabHost, packages: readonly string[]): string | undefined {
  const { manager } = readDistribution(host);
  return manager === undefined ? undefined : installCommand(manager, packages, host.uid === 0);
}

/** The same as a remedy, which says what to look for where there is no command. */
export function howToInstall(host: LabHost, packages: readonly string[]): string {
  const words = `install the equivalents of these Debian packages: ${packages.join(" ")}`;
  return installCommandHere(host, packages) ?? words;
}

function readOsRelease(host: LabHost): Map<string, string> {
  for (const path of ["/etc/os-release", "/usr/lib/os-release"]) {
    try {
      const text = readFileSync(systemPath(host, path), "utf8");
      const fields = [...text.matchAll(/^([A-Z_]+)=["']?(.*?)["']?$/gm)];
      return new Map(fields.map(([, key = "", value = ""]) => [key, value]));
    } catch {
      // The next place, or none.
    }
  }
  return new Map();
}

import { mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DEFAULT_ARCHITECTURE } from "../../architecture/architecture";
import type { LabArchitecture } from "../../architecture/lab-architecture";
import type { LabHost } from "../../host/host";
import { debianRootQemu, type Qemu } from "../../machine/qemu";
import type { AptWorkspace } from "./apt-workspace";
import type { DebianSuites } from "./debian-mirror";
import { type ExtractOptions, extractPackages } from "./extract-packages";

const QEMU_PACKAGES = ["virtiofsd", "kmod"];

/** Bytes of disk space to make the root. It keeps 160 MB of them. */
export const DEBIAN_ROOT_BYTES = 600 * 1024 * 1024;

/**
 * Makes a folder with QEMU, virtiofsd and their libraries. It only unpacks packages (`--variant=extract`), which needs
 * no root rights and changes nothing of the system. The folder appears under its name once QEMU in it has answered.
 */
export async function makeDebianRoot(
  host: LabHost,
  root: string,
  apt: AptWorkspace,
  suites: DebianSuites,
  options: ExtractOptions,
  architecture: LabArchitecture = DEFAULT_ARCHITECTURE,
): Promise<Qemu> {
  const unfinished = `${root}.tmp`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(dirname(root), { recursive: true });
  try {
    const packages = [architecture.qemu.package, ...QEMU_PACKAGES];
    await extractPackages(host, unfinished, packages, "amd64", { ...apt, suites }, options);
    await debianRootQemu(host, unfinished, architecture);
    rmSync(root, { recursive: true, force: true });
    renameSync(unfinished, root);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return debianRootQemu(host, root, architecture);
}

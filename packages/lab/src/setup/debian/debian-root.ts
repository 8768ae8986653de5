import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { execute } from "../../host/execute";
import type { LabHost } from "../../host/host";
import { debianRootQemu, type Qemu } from "../../machine/qemu";
import { acquireSettings, type AptWorkspace } from "./apt-workspace";
import type { DebianSuites } from "./debian-mirror";

const PACKAGES = ["qemu-system-x86", "virtiofsd", "kmod"];

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
  options: { signal?: AbortSignal | undefined; onLine?: (line: string) => void; logFile: string },
): Promise<Qemu> {
  const unfinished = `${root}.tmp`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(dirname(root), { recursive: true });
  const aptOptions = [
    'APT::Install-Recommends "false";',
    `Dir::Etc::Preferences "${apt.preferences}";`,
    ...(await acquireSettings(host)),
    // The credentials of mirrors that ask for them.
    ...(existsSync("/etc/apt/auth.conf.d") ? ['Dir::Etc::netrcparts "/etc/apt/auth.conf.d";'] : []),
  ];
  try {
    await execute(
      host,
      [
        "mmdebstrap",
        "--mode=chrootless",
        "--variant=extract",
        "--architectures=amd64",
        `--include=${PACKAGES.join(",")}`,
        ...aptOptions.map((option) => `--aptopt=${option.replace(/;$/, "")}`),
        ...["doc", "man", "locale", "info"].map((folder) => `--dpkgopt=path-exclude=/usr/share/${folder}/*`),
        suites.stable,
        unfinished,
        apt.sources,
      ],
      { ...options, remedy: "run `lab setup` again: it goes on where it stopped" },
    );
    await debianRootQemu(host, unfinished);
    rmSync(root, { recursive: true, force: true });
    renameSync(unfinished, root);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return debianRootQemu(host, root);
}

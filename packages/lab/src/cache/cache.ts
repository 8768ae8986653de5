import { randomBytes } from "node:crypto";
import { accessSync, constants, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { makeFolder } from "@vfio-selftests/core/sysfs";
import { DEFAULT_ARCHITECTURE } from "../architecture/architecture";
import type { LabArchitecture } from "../architecture/lab-architecture";
import type { LabHost } from "../host/host";

/** Where the lab keeps what it prepared. Every entry appears by a rename, so it is complete when it is there. */
export interface LabCache {
  /** The folder that holds all of it: `~/.cache/vfio-selftests`. */
  readonly folder: string;
  /** Held while a set-up runs. */
  readonly lock: string;
  /** The chosen QEMU and kernel of the architecture, and whether they booted: `LabState`. */
  readonly state: string;
  /** The Debian root that the architecture's QEMU runs from where the system's own QEMU does not serve. */
  readonly qemuRoot: string;
  /** The tree of a guest whose CPU does not run the host's programs. */
  readonly guestRoot: string;
  /** Built kernels, one folder each. */
  readonly kernels: string;
  /** Kernels with `--with` or of a tree of the user's, with their build folders, one folder each. */
  readonly builds: string;
  /** The unpacked sources of these builds. */
  readonly sources: string;
  /** Unfinished work that a later set-up goes on with. */
  readonly work: string;
  /** What runs leave for later ones: here, or in a folder of this user's own where the cache is another user's. */
  readonly runs: string;
  /** The guests' consoles of the last runs, a file each. */
  readonly consoles: string;
}

/**
 * Where the lab keeps its files for this user. Where the cache may not be written to, runs go to the user's state
 * folder.
 */
export function labCache(host: LabHost, architecture: LabArchitecture = DEFAULT_ARCHITECTURE): LabCache {
  const folder = ownFolder(host, "XDG_CACHE_HOME", ".cache");
  const runs = mayWrite(folder) ? folder : join(ownFolder(host, "XDG_STATE_HOME", ".local/state"), "lab");
  const suffix = architecture === DEFAULT_ARCHITECTURE ? "" : `-${architecture.name}`;
  return {
    folder,
    lock: join(folder, "lock"),
    state: join(folder, `lab${suffix}.json`),
    qemuRoot: join(folder, `qemu${suffix}`),
    guestRoot: join(folder, `guest${suffix}`),
    kernels: join(folder, "kernels"),
    builds: join(folder, "builds"),
    sources: join(folder, "sources"),
    work: join(folder, "work"),
    runs,
    consoles: join(runs, "consoles"),
  };
}

function ownFolder({ env }: LabHost, variable: string, usual: string): string {
  const base = env[variable] ?? "";
  return join(base === "" ? join(env["HOME"] ?? homedir(), usual) : base, "vfio-selftests");
}

/** Whether the folder takes files. The lab makes a missing folder at need, and reports then if it cannot. */
function mayWrite(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}

/** Writes a JSON file. A reader sees the old content or the new, never a part. */
export function writeJson(path: string, value: unknown): void {
  makeFolder(dirname(path));
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(value, undefined, 2)}\n`);
  renameSync(temporary, path);
}

/** The content of a JSON file, or `undefined` when it is not there or not JSON. */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { LabHost } from "../host/host";

/** Where the lab keeps what it prepared. Every entry appears by a rename, so it is complete when it is there. */
export interface LabCache {
  readonly folder: string;
  /** Held while a set-up runs. */
  readonly lock: string;
  /** The chosen QEMU and kernel, and whether they booted: `LabState`. */
  readonly state: string;
  /** The Debian root that QEMU runs from where the system's own QEMU does not serve. */
  readonly qemuRoot: string;
  /** Built kernels, one folder each. */
  readonly kernels: string;
  /** Kernels with `--with` or of a tree of the user's, with their build folders, one folder each. */
  readonly builds: string;
  /** The unpacked sources of these builds. */
  readonly sources: string;
  /** Unfinished work that a later set-up goes on with. */
  readonly work: string;
  /** The guests' consoles of the last runs, a file each. */
  readonly consoles: string;
}

export function labCache(host: LabHost): LabCache {
  const base = host.env["XDG_CACHE_HOME"] ?? "";
  const folder = join(base === "" ? join(host.env["HOME"] ?? homedir(), ".cache") : base, "vfio-selftests");
  return {
    folder,
    lock: join(folder, "lock"),
    state: join(folder, "lab.json"),
    qemuRoot: join(folder, "qemu"),
    kernels: join(folder, "kernels"),
    builds: join(folder, "builds"),
    sources: join(folder, "sources"),
    work: join(folder, "work"),
    consoles: join(folder, "consoles"),
  };
}

/** Writes a JSON file. A reader sees the old content or the new, never a part. */
export function writeJson(path: string, value: unknown): void {
  mkdirSync(dirname(path), { recursive: true });
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

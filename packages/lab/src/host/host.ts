import { statfsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

/** Everything of the machine that the lab depends on, so that a test can replace it. */
export interface LabHost {
  /** The environment's variables. */
  readonly env: NodeJS.ProcessEnv;
  /** The process's user. */
  readonly uid: number;
  /** The process's group. */
  readonly gid: number;
  /** How many CPUs may be used. */
  readonly cpus: number;
  /** As `process.arch` has it. */
  readonly architecture: string;
  /**
   * Stands before every system path that the lab reads (`/etc/apt`, `/dev/kvm`, `/proc`): empty, or a test's folder.
   */
  readonly root: string;
  /** Bytes free for this user in the file system that holds `path`, which exists. */
  freeBytes(path: string): number;
}

/** The machine and user of this process. */
export function thisHost(): LabHost {
  return {
    env: process.env,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    cpus: availableParallelism(),
    architecture: process.arch,
    root: "",
    freeBytes: (path) => {
      const { bavail, bsize } = statfsSync(path);
      return bavail * bsize;
    },
  };
}

export function systemPath(host: LabHost, path: string): string {
  return host.root === "" ? path : join(host.root, path);
}

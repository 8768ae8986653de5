import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { LabHost } from "../host/host";

/** A machine that a test makes, with its own cache, `/etc`, programs and disk. */
export interface TestHost extends LabHost, Disposable {
  readonly folder: string;
  /** Writes a system file, such as `/etc/apt/sources.list`. */
  addFile(path: string, content: string): void;
  /** Puts an executable script at a system path, such as `/usr/libexec/virtiofsd`. */
  addSystemProgram(path: string, script: string): void;
  /** Puts an executable script at the head of `PATH`. Returns its path. */
  addProgram(name: string, script: string): string;
}

/** The start of a bzImage, which is enough to pass for one. */
export const KERNEL_IMAGE = `${"\0".repeat(0x202)}HdrS`;

const GIB = 1024 ** 3;

export function makeTestHost(
  options: { uid?: number; freeBytes?: number; path?: string; architecture?: string } = {},
): TestHost {
  const folder = mkdtempSync(join(tmpdir(), "lab-test-"));
  const bin = join(folder, "bin");
  mkdirSync(bin);
  const addFile = (path: string, content: string): void => {
    const target = join(folder, "root", path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
  };
  return {
    folder,
    env: {
      PATH: `${bin}:${options.path ?? process.env["PATH"] ?? ""}`,
      HOME: folder,
      XDG_CACHE_HOME: join(folder, "cache"),
    },
    uid: options.uid ?? 0,
    gid: options.uid ?? 0,
    cpus: 1,
    architecture: options.architecture ?? "x64",
    root: join(folder, "root"),
    freeBytes: () => options.freeBytes ?? 100 * GIB,
    addFile,
    addSystemProgram: (path, script) => {
      addFile(path, script);
      chmodSync(join(folder, "root", path), 0o755);
    },
    addProgram: (name, script) => {
      const path = join(bin, name);
      writeFileSync(path, script);
      chmodSync(path, 0o755);
      return path;
    },
    [Symbol.dispose]: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

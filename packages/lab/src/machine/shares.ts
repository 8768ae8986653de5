import { existsSync, realpathSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { argumentError } from "@vfio-selftests/core/errors";

/** A folder of the host in the guest. Each has a virtiofsd of its own, which decides whether the guest may write. */
export interface Share {
  /**
   * The name under which the guest mounts it, and the name of its socket in the run's folder. `run` is that folder
   * itself, which only a guest with a root of its own mounts.
   */
  readonly name: "root" | "run" | `share${number}`;
  readonly folder: string;
  readonly writable: boolean;
}

/** The most writable folders. Each is a PCI device on the root bus. */
const MOST_WRITABLE = 8;

/** Folders in which the guest has file systems of its own. */
const KERNEL_FOLDERS = /^\/(?:proc|sys|dev(?!\/shm\/.))(?:\/|$)/;

/** Real paths of folders that the guest may write to. A folder inside another one is part of that one. */
export function writableFolders(folders: readonly string[]): string[] {
  const given = outermost(folders.map(realFolder));
  if (given.length > MOST_WRITABLE) {
    throw argumentError("lab run", "rw", given.join(" "), `${MOST_WRITABLE} folders at most`);
  }
  return given;
}

/**
 * Shares the whole tree read-only, and the folders that the guest may write to: the named ones, and the folder in which
 * the command starts, unless that is the root or belongs to the kernel.
 */
export function sharesOf(cwd: string, writable: readonly string[]): Share[] {
  const folders = writableFolders([...writable, ...startFolder(cwd)]);
  return [
    { name: "root", folder: "/", writable: false },
    ...folders.map((folder, index): Share => ({ name: `share${index}`, folder, writable: true })),
  ];
}

/** The shares with a folder beside them that the guest only reads, even where it could write to the folder around it. */
export function withReadOnly(shares: readonly Share[], folder: string | undefined): readonly Share[] {
  if (folder === undefined) return shares;
  const others = shares.filter(({ name }) => name !== "root" && name !== "run").length;
  return [...shares, { name: `share${others}`, folder, writable: false }];
}

/**
 * The shares of a guest whose root is a tree of its own, because the host's programs do not run on its CPU. It sees of the
 * host, at their paths, the projects of `places` (read-only), and the folders that it may write to.
 */
export function sharesBeside(
  root: string,
  run: string,
  cwd: string,
  writable: readonly string[],
  places: readonly string[],
): Share[] {
  const folders = writableFolders([...writable, ...startFolder(cwd)]);
  const projects = outermost([cwd, ...places].flatMap((place) => projectFolder(place) ?? []));
  const seen = projects.filter((project) => !folders.some((folder) => contains(folder, project)));
  return [
    { name: "root", folder: root, writable: false },
    { name: "run", folder: run, writable: false },
    // A folder inside a project is mounted after it.
    ...[
      ...seen.map((folder) => ({ folder, writable: false })),
      ...folders.map((folder) => ({ folder, writable: true })),
    ].map((share, index): Share => ({ name: `share${index}`, ...share })),
  ];
}

/** The outermost folder around a place that has packages of npm. Undefined where there is none. */
export function projectFolder(place: string): string | undefined {
  if (!existsSync(place)) return undefined;
  const folders = ancestors(realpathSync(place)).filter(isShareable);
  return folders.findLast((folder) => existsSync(join(folder, "node_modules")));
}

/** The folder itself and all around it, from within. */
function ancestors(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...ancestors(parent)];
}

function outermost(folders: readonly string[]): string[] {
  const different = [...new Set(folders)];
  return different.filter((folder) => !different.some((other) => other !== folder && contains(other, folder)));
}

/** The command's own folder, if it exists and may be shared. If it does not exist, the command does not start. */
function startFolder(cwd: string): string[] {
  const real = existsSync(cwd) ? realpathSync(cwd) : "/";
  return isShareable(real) ? [real] : [];
}

/** Whether a path lies in the folder, or is the folder. */
export function contains(folder: string, path: string): boolean {
  return `${path}/`.startsWith(folder === "/" ? folder : `${folder}/`);
}

function realFolder(folder: string): string {
  const path = resolve(folder);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw argumentError("lab run", "rw", folder, "a folder that exists");
  }
  const real = realpathSync(path);
  if (!isShareable(real)) throw argumentError("lab run", "rw", folder, "a folder below /, not /proc, /sys or /dev");
  return real;
}

function isShareable(path: string): boolean {
  return path !== "/" && !KERNEL_FOLDERS.test(path);
}

import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { errnoName } from "../errors/errno";
import { writeRemedy } from "../errors/remedies";
import { systemError, systemResult } from "../errors/vfio-error";

/**
 * Where `/sys`, `/dev` and `/proc` are. Every path outside the process starts at one root, so that a test can pass a
 * tree of its own.
 */
export class SystemPaths {
  /** Where the paths start: `/`, or a test's folder. */
  readonly root: string;
  /** The root with a slash at its end. */
  readonly #base: string;

  /** `root` exists. */
  constructor(root = "/") {
    this.root = root;
    this.#base = root.endsWith("/") ? root : `${root}/`;
  }

  /** A path below `/sys`. */
  sys(...parts: string[]): string {
    return this.#below("sys", parts);
  }

  /** A path below `/dev`. */
  dev(...parts: string[]): string {
    return this.#below("dev", parts);
  }

  /** A path below `/proc`. */
  proc(...parts: string[]): string {
    return this.#below("proc", parts);
  }

  /** Unlike `path.join`, looks for no `..`, which takes longer than all else that opening a device computes. */
  #below(directory: string, parts: readonly string[]): string {
    return parts.length === 0 ? this.#base + directory : `${this.#base}${directory}/${parts.join("/")}`;
  }

  /**
   * A file of this toolkit's own that lasts until the next boot, as most of the state it describes does. It lies below
   * `/run`, or below the user's own runtime directory.
   */
  runtime(...parts: string[]): string {
    const user = this.root === "/" && process.getuid?.() !== 0 ? process.env["XDG_RUNTIME_DIR"] : undefined;
    return join(user ?? join(this.root, "run"), "vfio-selftests", ...parts);
  }

  /** Directory of a PCI device, by its full address. */
  pciDevice(address: string, ...parts: string[]): string {
    return this.sys("bus", "pci", "devices", address, ...parts);
  }

  /**
   * Claims a block device like a mount, and releases it at once. Returns `EBUSY` if another holds it, another errno if
   * the device cannot be asked, undefined if it is free.
   */
  claim(path: string): string | undefined {
    try {
      closeSync(openSync(path, constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK));
      return undefined;
    } catch (error) {
      return errnoName(-systemResult(error));
    }
  }

  /** The write itself. A test may replace it. */
  protected put(path: string, text: string): void {
    writeFileSync(path, text);
  }

  /** Writes an attribute. `path` comes from this object. `remedies` are by errno name. */
  write(path: string, text: string, remedies: Readonly<Record<string, string>> = {}): void {
    try {
      this.put(path, text);
    } catch (cause) {
      const errno = systemResult(cause);
      const code = errnoName(-errno);
      const remedy = remedies[code] ?? writeRemedy(code);
      throw systemError(errno, "write", { subject: path, cause, remedy });
    }
  }
}

/** The machine's own paths. */
export const systemPaths = new SystemPaths();

/** A file's text without the line end; undefined if the file is missing or cannot be read. */
export function readAttribute(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trimEnd();
  } catch {
    return undefined;
  }
}

/** An attribute that holds one number (decimal or 0x-hexadecimal); undefined if absent or no number. */
export function readNumber(path: string): number | undefined {
  const text = readAttribute(path)?.trim();
  if (text === undefined || text === "") return undefined;
  const value = Number(text);
  return Number.isNaN(value) ? undefined : value;
}

/** Last part of a symbolic link's target; undefined if there is no link. */
export function linkName(path: string): string | undefined {
  try {
    return basename(readlinkSync(path));
  } catch {
    return undefined;
  }
}

/** Names in a directory, sorted; empty if the directory is missing. */
export function listDirectory(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}

/** Whether the path leads to something. A link that leads nowhere does not. */
export function existsPath(path: string): boolean {
  return existsSync(path);
}

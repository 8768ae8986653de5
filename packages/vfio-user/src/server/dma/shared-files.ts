import { fstatSync, statfsSync } from "node:fs";
import { constants } from "node:os";
import { native } from "@vfio-selftests/native";
import type { FileAccess, WindowBudget } from "./shared-file";
import { SharedFile } from "./shared-file";

const { EACCES, EINVAL, EMFILE } = constants.errno;

/** fcntl.h. */
const F_GETFL = 3;
const F_GET_SEALS = 1034;
const F_SEAL_SHRINK = 2;
const O_ACCMODE = 3;
const O_WRONLY = 1;
const O_RDONLY = 0;
const O_APPEND = 0o2000;
/** linux/magic.h. */
const HUGETLBFS_MAGIC = 0x958458f6;

/** The most windows mapped for all files together: 256 GiB. */
const MOST_WINDOWS = 256;
/** At that limit, windows go that no step has used for so many steps of the model. */
const IDLE_STEPS = 64;
/** The most files. Each costs a descriptor. */
const MOST_FILES = 512;

export interface Rights {
  readonly readable: boolean;
  readonly writable: boolean;
}

/**
 * The files that a client shares for DMA. QEMU sends a descriptor of its guest's memory with every page of a guest's
 * I/O page table. This class keeps a file once, and recognises it by device, inode and the way it was opened.
 *
 * A client that truncates a mapped file would end this process by SIGBUS. Therefore the server maps only files sealed
 * against it (F_SEAL_SHRINK: QEMU's memory-backend-memfd, our own DmaMemory), unless `trusting`.
 */
export class SharedFiles implements WindowBudget {
  readonly #trusting: boolean;
  readonly #mostWindows: number;
  readonly #files = new Map<string, SharedFile>();
  #windows = 0;
  /** A window was wanted, and the limit refused it. */
  #short = false;
  #step = 0;

  constructor(trusting: boolean, mostWindows = MOST_WINDOWS) {
    this.#trusting = trusting;
    this.#mostWindows = mostWindows;
  }

  get step(): number {
    return this.#step;
  }

  /**
   * The file behind `fd`, which the caller keeps. A positive errno if the file is shorter than `end`, or lacks these
   * rights.
   */
  open(fd: number, end: number, rights: Rights): SharedFile | number {
    let stat;
    try {
      stat = fstatSync(fd);
    } catch {
      return EINVAL;
    }
    if (!stat.isFile() || end > stat.size) return EINVAL;
    const flags = native.fcntl(fd, F_GETFL);
    const mode = flags & O_ACCMODE;
    // On a file opened for appending, pwrite(2) writes elsewhere.
    if (flags < 0 || (flags & O_APPEND) !== 0) return EINVAL;
    if ((rights.readable && mode === O_WRONLY) || (rights.writable && mode === O_RDONLY)) return EACCES;
    const key = `${stat.dev}:${stat.ino}:${flags}`;
    let file = this.#files.get(key);
    if (file === undefined) {
      const own = this.#files.size < MOST_FILES ? native.dup(fd) : -EMFILE;
      if (own < 0) return -own;
      file = new SharedFile(key, own, this.#accessOf(own), stat.size, this);
      this.#files.set(key, file);
    } else {
      file.growTo(stat.size);
    }
    file.users += 1;
    return file;
  }

  /** Takes note that one DMA map less refers to the file. */
  release(file: SharedFile): void {
    file.users -= 1;
    if (file.users > 0) return;
    this.#files.delete(file.key);
    file.close();
  }

  take(): boolean {
    if (this.#windows >= this.#mostWindows) {
      this.#short = true;
      return false;
    }
    this.#windows += 1;
    return true;
  }

  give(): void {
    this.#windows -= 1;
  }

  /** Makes room if a window was refused. Call it between two steps, when nobody holds a view. */
  nextStep(): void {
    this.#step += 1;
    if (!this.#short) return;
    this.#short = false;
    for (let idle = IDLE_STEPS; this.#windows >= this.#mostWindows; idle >>= 1) {
      for (const file of this.#files.values()) file.forgetUnusedSince(this.#step - idle);
      if (idle === 0) return;
    }
  }

  #accessOf(fd: number): FileAccess {
    if (this.#trusting) return "memory";
    if (isHuge(fd)) return "huge";
    const seals = native.fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK) !== 0 ? "memory" : "file";
  }
}

/** Whether the file lies on hugetlbfs (such as a memfd with MFD_HUGETLB). Without /proc, the answer is yes. */
function isHuge(fd: number): boolean {
  try {
    return statfsSync(`/proc/self/fd/${fd}`).type === HUGETLBFS_MAGIC;
  } catch {
    return true;
  }
}

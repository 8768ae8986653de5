import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core/errors";
import { encodeArchive } from "@vfio-selftests/coverage";

/**
 * Folder of the kernel's counters (kernel/gcov/fs.c). Each file has its object's path on the machine that built the
 * kernel.
 */
const GCOV_FOLDER = "sys/kernel/debug/gcov";
/** The kernel makes a new id at each boot (drivers/char/random.c); its counters start at 0 then, too. */
const BOOT_ID = "proc/sys/kernel/random/boot_id";

/** Larger than any object's counters. The files themselves say that their size is 0. */
const BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * Keeps what the kernel ran between two calls. It never resets the counters, since a reset would lose what other CPUs
 * count meanwhile. An object whose file reads as before ran nothing; of each other one the archive gets the new
 * content.
 */
export class GcovRecorder {
  readonly #root: string;
  readonly #folder: string;
  readonly #paths: readonly string[];
  readonly #last = new Map<string, Buffer>();
  readonly #buffer = Buffer.alloc(BUFFER_BYTES);
  #archives: number;

  /** `folder` gets a folder for this boot. In there each call that finds something writes one file. */
  constructor(folder: string, root = "/") {
    this.#root = join(root, GCOV_FOLDER);
    this.#paths = dataFiles(this.#root);
    this.#folder = join(folder, readFileSync(join(root, BOOT_ID), "utf8").trim());
    mkdirSync(this.#folder, { recursive: true });
    // An earlier process of the same run may have written there already.
    this.#archives = readdirSync(this.#folder).length;
  }

  /** Archives what has run since the last call under this test's id. */
  record(test: string): void {
    const files: { path: string; data: Buffer }[] = [];
    for (const path of this.#paths) {
      const data = this.#read(join(this.#root, path));
      if (this.#last.get(path)?.equals(data) === true) continue;
      const kept = Buffer.from(data);
      this.#last.set(path, kept);
      files.push({ path: `/${path}`, data: kept });
    }
    if (files.length === 0) return;
    const name = `${String(this.#archives).padStart(6, "0")}.gcov`;
    this.#archives += 1;
    writeFileSync(join(this.#folder, name), encodeArchive({ test, files }));
  }

  #read(path: string): Buffer {
    const descriptor = openSync(path, "r");
    try {
      let length = 0;
      for (;;) {
        const count = readSync(descriptor, this.#buffer, length, BUFFER_BYTES - length, length);
        if (count === 0) return this.#buffer.subarray(0, length);
        length += count;
      }
    } finally {
      closeSync(descriptor);
    }
  }
}

function dataFiles(root: string): string[] {
  try {
    const names = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".gcda"));
    if (names.length > 0) return names.sort();
  } catch {
    // The error below says what is missing.
  }
  throw new VfioError(`the kernel counts nothing: there are no counters below ${root}`, {
    code: "ERR_NOT_SUPPORTED",
    operation: "coverage",
    subject: root,
    remedy: "run as root, with debugfs mounted, on a kernel with GCOV_KERNEL: `vfio-selftests lab setup --with gcov`",
  });
}

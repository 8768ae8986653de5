import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { VfioError } from "@vfio-selftests/core/errors";
import {
  type Coverage,
  coverageSince,
  decodeArchive,
  type GcovArchive,
  gcovCoverage,
  mergeCoverage,
  parseGcovOutput,
} from "@vfio-selftests/coverage";

const run = promisify(execFile);
/** gcov's text for all objects at once is some ten MiB. */
const OUTPUT_BYTES = 1024 * 1024 * 1024;

export interface DecodeOptions {
  /** The kernel's source tree. */
  readonly tree: string;
  /** Chooses the files whose coverage is kept, by their paths in the tree. */
  readonly isWanted: (path: string) => boolean;
  readonly onProgress?: (done: number, all: number) => void;
  /** Default: the one in `PATH`. */
  readonly gcov?: string;
}

/**
 * What ran in each test of the archives in a folder. gcov decodes; the build folder has the notes (.gcno) that it
 * needs.
 */
export async function decodeArchives(folder: string, options: DecodeOptions): Promise<Map<string, Coverage>> {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".gcov"))
    .sort();
  const work = mkdtempSync(join(tmpdir(), "vfio-lab-gcov-"));
  const tests = new Map<string, Coverage>();
  // The key is boot and object: each VM has its own counters.
  const before = new Map<string, Coverage>();
  try {
    for (const [index, name] of names.entries()) {
      const archive = readArchive(join(folder, name));
      // The guest went down while it wrote this archive.
      if (archive === undefined) continue;
      const parts = [...(await objectsNow(archive, work, options))].map(([object, coverage]) => {
        const counter = `${dirname(name)}:${object}`;
        const since = coverageSince(before.get(counter) ?? new Map(), coverage);
        before.set(counter, coverage);
        return since;
      });
      // A test on several devices is one test.
      tests.set(archive.test, mergeCoverage([tests.get(archive.test) ?? new Map(), ...parts]));
      options.onProgress?.(index + 1, names.length);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return tests;
}

function readArchive(path: string): GcovArchive | undefined {
  try {
    return decodeArchive(readFileSync(path));
  } catch (error) {
    if (error instanceof RangeError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The counters of each object in an archive, as they stood when it was written. */
async function objectsNow(archive: GcovArchive, work: string, options: DecodeOptions): Promise<Map<string, Coverage>> {
  const { tree, isWanted, gcov = "gcov" } = options;
  // gcov looks for the notes beside the data. We number the files, because objects of several folders have the same
  // name.
  const objects = archive.files.map(({ path, data }, index) => {
    const notes = path.replace(/\.gcda$/, ".gcno");
    if (!existsSync(notes)) throw noNotes(notes);
    const folder = join(work, String(index));
    mkdirSync(folder, { recursive: true });
    const file = join(folder, "object.gcda");
    writeFileSync(file, data);
    rmSync(join(folder, "object.gcno"), { force: true });
    symlinkSync(notes, join(folder, "object.gcno"));
    return { path, file };
  });
  const documents = parseGcovOutput(
    await gcovOutput(
      gcov,
      objects.map(({ file }) => file),
    ),
  );
  const objectOf = new Map(objects.map(({ path, file }) => [file, path]));
  const decoded = new Map<string, Coverage>();
  for (const document of documents) {
    const object = objectOf.get(document.data_file);
    if (object !== undefined) decoded.set(object, gcovCoverage(document, tree, isWanted));
  }
  return decoded;
}

async function gcovOutput(gcov: string, files: readonly string[]): Promise<string> {
  try {
    const { stdout, stderr } = await run(gcov, ["--json-format", "--stdout", ...files], { maxBuffer: OUTPUT_BYTES });
    // gcov only complains of a file that it cannot read, and goes on.
    const mismatch = /^.*(?:version|stamp mismatch).*$/m.exec(stderr)?.[0];
    if (mismatch === undefined) return stdout;
    throw gcovFailed(
      gcov,
      mismatch,
      "let the gcov in PATH be the one of the compiler that built the kernel, and build it again",
    );
  } catch (error) {
    if (error instanceof VfioError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw gcovFailed(gcov, message, code === "ENOENT" ? "install gcc, which has it" : "see its message");
  }
}

function gcovFailed(gcov: string, why: string, remedy: string): VfioError {
  return new VfioError(`${gcov} cannot decode the kernel's counters: ${why}`, {
    code: "ERR_LAB_PROGRAM_FAILED",
    operation: "coverage",
    subject: gcov,
    remedy,
  });
}

function noNotes(path: string): VfioError {
  return new VfioError(`the kernel's build folder has no ${path}`, {
    code: "ERR_LAB_KERNEL_NOT_BUILT",
    operation: "coverage",
    subject: path,
    remedy: "build the kernel again where its coverage is decoded: `vfio-selftests lab setup --with gcov`",
  });
}

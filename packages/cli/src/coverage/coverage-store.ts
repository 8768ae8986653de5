import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { VfioError } from "@vfio-selftests/core/errors";
import {
  addMeasurements,
  type Coverage,
  type CoverageDatabase,
  coveragePage,
  EMPTY_DATABASE,
  forgetFiles,
  lcovTrace,
  mergeCoverage,
} from "@vfio-selftests/coverage";
import { type KeptBuild, labCache, thisHost } from "@vfio-selftests/lab";

/** The measured coverage of one kernel, kept in the cache. */
export class CoverageStore {
  readonly #folder: string;
  readonly #kernel: KeptBuild;

  constructor(kernel: KeptBuild, folder = join(labCache(thisHost()).folder, "coverage", kernel.name)) {
    this.#kernel = kernel;
    this.#folder = folder;
  }

  /** lcov's tracefile of the last run. */
  get trace(): string {
    return join(this.#folder, "coverage.info");
  }

  /** The page of the last run. */
  get page(): string {
    return join(this.#folder, "coverage.html");
  }

  /** A new folder that the VM writes one run's counters to. */
  newRun(): Disposable & { readonly path: string } {
    mkdirSync(this.#folder, { recursive: true });
    const path = mkdtempSync(join(this.#folder, "run-"));
    return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
  }

  /** Adds a run on a kind of machine to the database and writes the reports. Returns the coverage of all its tests together. */
  add(machine: string, tests: ReadonlyMap<string, Coverage>): Coverage {
    const coverage = mergeCoverage(tests.values());
    // The user may have edited a source since: what was measured of the earlier text has other line numbers.
    const others = [...coverage.keys()].filter((path) => this.#hasChanged(path));
    const known = forgetFiles(this.#read() ?? EMPTY_DATABASE, others);
    this.#write("database.json", JSON.stringify(addMeasurements(known, machine, tests)));
    for (const path of coverage.keys()) this.#keepSource(path);
    this.#write("coverage.info", lcovTrace(coverage, this.#kernel.tree));
    const page = coveragePage(coverage, {
      title: `Coverage of ${this.#kernel.name}`,
      facts: [`${tests.size} tests, boot and binding included`, `Built with ${this.#kernel.variants.join(", ")}`],
      readSource: (path) => readIfThere(this.source(path)),
    });
    this.#write("coverage.html", page);
    return coverage;
  }

  /** Which test reached what. Throws ERR_LAB_NO_COVERAGE when this kernel was never measured. */
  database(): CoverageDatabase {
    const database = this.#read();
    if (database !== undefined) return database;
    throw new VfioError(`nothing was measured of the kernel ${this.#kernel.name} yet`, {
      code: "ERR_LAB_NO_COVERAGE",
      operation: "lab coverage",
      subject: this.#kernel.name,
      remedy: "run the tests with `vfio-selftests lab run --coverage`, and the same --source and --with",
    });
  }

  /** The copy of a source file as it was measured: the user may edit the one in the tree. */
  source(path: string): string {
    return join(this.#folder, "sources", path);
  }

  #hasChanged(path: string): boolean {
    const measured = readIfThere(this.source(path));
    return measured !== undefined && measured !== readIfThere(join(this.#kernel.tree, path));
  }

  #keepSource(path: string): void {
    const from = join(this.#kernel.tree, path);
    if (!existsSync(from)) return;
    mkdirSync(dirname(this.source(path)), { recursive: true });
    copyFileSync(from, this.source(path));
  }

  #read(): CoverageDatabase | undefined {
    const text = readIfThere(join(this.#folder, "database.json"));
    if (text === undefined) return undefined;
    const database = JSON.parse(text) as { readonly format: number };
    // An older one, which did not tell machines apart, is measured anew.
    return database.format === EMPTY_DATABASE.format ? (database as CoverageDatabase) : undefined;
  }

  #write(name: string, text: string): void {
    mkdirSync(this.#folder, { recursive: true });
    writeFileSync(join(this.#folder, name), text);
  }
}

function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

import { join } from "node:path";
import { shareTable, treeShares } from "@vfio-selftests/coverage";
import { COVERED_SOURCES, type KeptBuild, TextProgress } from "@vfio-selftests/lab";
import { CoverageStore } from "./coverage-store";
import { decodeArchives } from "./decode-archives";

/** One run whose coverage is kept. */
export class CoverageRun implements Disposable {
  /** Folder for the kernel's counters, which the VM writes. */
  readonly folder: string;
  readonly #kernel: KeptBuild;
  readonly #machine: string;
  readonly #store: CoverageStore;
  readonly #run: Disposable;

  /** `machine`: of which kind, as `igb+intel`. */
  constructor(kernel: KeptBuild, machine: string) {
    this.#kernel = kernel;
    this.#machine = machine;
    this.#store = new CoverageStore(kernel);
    const run = this.#store.newRun();
    this.#run = run;
    this.folder = run.path;
  }

  /** The command that runs another one and keeps the coverage of the kernel meanwhile. */
  around(command: readonly string[]): string[] {
    return [process.execPath, join(__dirname, "record-around.js"), this.folder, ...command];
  }

  /** Decodes what the VM wrote, adds it to the kept measurements, and prints the table. */
  async finish(print: (text: string) => void): Promise<void> {
    using progress = new TextProgress(process.stderr);
    progress.step("coverage");
    const tests = await decodeArchives(this.folder, {
      tree: this.#kernel.tree,
      isWanted,
      onProgress: (done, all) => progress.detail(`${done} of ${all} tests`),
    });
    if (tests.size === 0) {
      progress.done("nothing: no test ran");
      return;
    }
    const coverage = this.#store.add(this.#machine, tests);
    progress.done(`${tests.size} tests`);
    print(`\n${shareTable({ title: "reached", shares: treeShares(coverage) })}\n`);
    print(`By line: ${this.#store.page}\nFor lcov: ${this.#store.trace}\n`);
  }

  [Symbol.dispose](): void {
    this.#run[Symbol.dispose]();
  }
}

/** The covered sources, and the headers in their folders. */
function isWanted(path: string): boolean {
  return COVERED_SOURCES.some((source) => path === source || path.startsWith(`${source}/`));
}

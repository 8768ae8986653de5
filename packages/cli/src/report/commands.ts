import { defineCommand } from "../options/command";
import { KCIDB_OPTIONS, type KcidbOptions, MERGE_OPTIONS, PAGE_OPTIONS, type ReportOptions } from "./options";

const FILES = { usage: "<file...>", summary: "reports that `--reporter json --output FILE` wrote" };

const PAGE_FILES = {
  usage: "<file...>",
  summary: "reports of `run --reporter json --output FILE`, figures of a benchmark, coverage",
};

export const reportCommand = defineCommand<ReportOptions>({
  argument: PAGE_FILES,
  options: PAGE_OPTIONS,
  notes: [
    "The page needs no network and no other file. With several reports it compares each with the one before it, and finds tests that both passed and failed.",
    "Of what `pnpm bench --json FILE` wrote, it plots percentiles and histograms. Of lcov's tracefiles and the database.json of `lab run --coverage`, it has the table by folder and file. The content of a file tells its kind, whatever its name.",
  ],
  run: async (files, options) => (await import("./write-page.js")).writePage(files, options),
});

export const reportMergeCommand = defineCommand<ReportOptions>({
  argument: FILES,
  options: MERGE_OPTIONS,
  notes: [
    "The files are reports of the shards of one run (`run --shard i/n`), in any order. Of two runs of a shard the later one wins. The tests of a shard without a report fail as MISS. A merged report can be merged again.",
    "The exit code is that of the whole run: 0 all that ran passed, 1 a failure or a missing test, 4 nothing ran.",
  ],
  run: async (files, options) => (await import("./merge-files.js")).mergeFiles(files, options),
});

export const reportCompareCommand = defineCommand<object>({
  argument: FILES,
  options: {},
  notes: [
    "Shows the totals of each report, then the tests whose results are not the same in all of them, with the reasons of skips and failures. Two machines' addresses of the same device count as one.",
  ],
  run: async (files) => (await import("./compare-files.js")).compareFiles(files),
});

export const reportKcidbCommand = defineCommand<KcidbOptions>({
  argument: FILES,
  options: KCIDB_OPTIONS,
  notes: [
    "Writes KCIDB 5.3 JSON for `kcidb-submit` or KernelCI's API. A failure is FAIL, an error of a test's own code ERROR, a test of a lost shard MISS. The same report always gets the same ids.",
  ],
  run: async (files, options) => (await import("./write-kcidb.js")).writeKcidb(files, options),
});

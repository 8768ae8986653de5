/** `pnpm bench`: measures TypeScript beside C in the same run, on this machine and in the lab. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { BENCH_VERSION, type BenchReport, type BenchResult, reached } from "@vfio-selftests/harness/reports";
import { buildBaselines } from "./baseline";
import { type Figures, joined } from "./figures";
import { benchEventfd } from "./host/eventfd";
import { benchMmio } from "./host/mmio";
import { type MappingFigures, mappingTable } from "./lab/mapping-figures";
import { benchCopies } from "./models/copies";
import { benchRoundTrip } from "./models/round-trip";
import { table } from "./report";

const USAGE = `usage: pnpm bench [--host] [--lab] [--rounds N] [--json FILE]
       pnpm bench --mapping [--json FILE]
  --host      only what needs no kernel with an IOMMU
  --lab       only what runs in the lab's VM
  --mapping   map and unmap by mode, memory and size, in the lab's VM; without C, with percentiles
  --rounds N  times each measurement is repeated, in turns with its C baseline (default 7)
  --json FILE where the figures go (default bench/results/latest.json)`;

const cli = join(__dirname, "../../cli/dist/main.js");

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      host: { type: "boolean", default: false },
      lab: { type: "boolean", default: false },
      mapping: { type: "boolean", default: false },
      rounds: { type: "string", default: "7" },
      json: { type: "string", default: "bench/results/latest.json" },
      help: { type: "boolean", default: false },
    },
  });
  const rounds = Number(values.rounds);
  if (values.help || !Number.isInteger(rounds) || rounds < 1 || rounds > 100) {
    console.error(values.help ? USAGE : `--rounds is ${JSON.stringify(values.rounds)}; allowed: 1 to 100\n${USAGE}`);
    return values.help ? 0 : 2;
  }
  if (values.mapping) {
    const figures = mapping();
    const distributions = figures.flatMap((one) => ("map" in one ? [one.map, one.unmap] : []));
    write(values.json, { rounds: 1, results: [], distributions });
    console.log(`microseconds\n${mappingTable(figures)}\n\nalso in ${values.json}`);
    return 0;
  }
  const everything = !values.host && !values.lab;
  buildBaselines();
  const parts: Figures[] = [];
  if (everything || values.host) parts.push(...(await host(rounds)));
  if (everything || values.lab) parts.push({ results: lab(rounds), distributions: [] });
  const { results, distributions } = joined(parts);
  const { cpu, node } = write(values.json, { rounds, results, distributions });
  console.log(`\n${table(results)}\n\nmedian (min–max) over the runs; ${cpu}, Node ${node}; also in ${values.json}`);
  const missed = results.filter((result) => reached(result) === false);
  if (missed.length > 0) console.log(`goals missed: ${missed.map((r) => `${r.name} ${r.variant}`).join(", ")}`);
  return 0;
}

function write(path: string, figures: Pick<BenchReport, "rounds" | "results" | "distributions">): BenchReport {
  const report = {
    version: BENCH_VERSION,
    date: new Date().toISOString(),
    node: process.version,
    cpu: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`,
    ...figures,
  };
  const file = resolve(path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  return report;
}

async function host(rounds: number): Promise<Figures[]> {
  progress("register access");
  const parts: Figures[] = [{ results: benchMmio(rounds), distributions: [] }];
  progress("eventfd wake-up");
  parts.push(await benchEventfd(rounds));
  progress("register reads of the device models");
  parts.push(benchRoundTrip(rounds));
  progress("copies by the device models");
  parts.push(benchCopies(rounds));
  return parts;
}

/** Runs the guest's part in the VM. Its progress goes to the terminal; its figures come back as JSON. */
function lab(rounds: number): BenchResult[] {
  progress("the lab: map+unmap and device open+close in each mode");
  return inLab("guest.js", String(rounds)) as BenchResult[];
}

function mapping(): MappingFigures[] {
  progress("the lab: map and unmap by mode, memory and size");
  return inLab("mapping.js", "--json") as MappingFigures[];
}

/** Runs a program of `lab/` in the VM, and returns the list that it prints. */
function inLab(program: string, ...args: readonly string[]): unknown {
  const { status, stdout } = spawnSync(
    process.execPath,
    [cli, "lab", "run", "--", process.execPath, join(__dirname, "lab", program), ...args],
    { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8", maxBuffer: 1 << 24 },
  );
  const json = stdout.split("\n").find((line) => line.startsWith("[{"));
  if (status !== 0 || json === undefined) throw new Error(`the lab's part failed (exit status ${String(status)})`);
  return JSON.parse(json);
}

function progress(what: string): void {
  console.error(`measuring ${what} …`);
}

main().then(
  (status) => {
    process.exitCode = status;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  },
);

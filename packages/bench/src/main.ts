/** `pnpm bench`: measures TypeScript beside C in the same run, on this machine and in the lab. */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildBaselines } from "./baseline";
import { benchEventfd } from "./host/eventfd";
import { benchMmio } from "./host/mmio";
import { benchCopies } from "./models/copies";
import { benchRoundTrip } from "./models/round-trip";
import { table } from "./report";
import { reached, type Result } from "./result";

const USAGE = `usage: pnpm bench [--host] [--lab] [--rounds N] [--json FILE]
       pnpm bench --mapping
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
  if (values.mapping) return mapping();
  const everything = !values.host && !values.lab;
  buildBaselines();
  const results: Result[] = [];
  if (everything || values.host) results.push(...(await host(rounds)));
  if (everything || values.lab) results.push(...lab(rounds));

  const report = {
    date: new Date().toISOString(),
    node: process.version,
    cpu: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`,
    rounds,
    results,
  };
  const file = resolve(values.json);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  console.log(
    `\n${table(results)}\n\nmedian (min–max) over the runs; ${report.cpu}, Node ${report.node}; also in ${values.json}`,
  );
  const missed = results.filter((result) => reached(result) === false);
  if (missed.length > 0) console.log(`goals missed: ${missed.map((r) => `${r.name} ${r.variant}`).join(", ")}`);
  return 0;
}

async function host(rounds: number): Promise<Result[]> {
  progress("register access");
  const results = benchMmio(rounds);
  progress("eventfd wake-up");
  results.push(...(await benchEventfd(rounds)));
  progress("register reads of the device models");
  results.push(...benchRoundTrip(rounds));
  progress("copies by the device models");
  results.push(...benchCopies(rounds));
  return results;
}

/** Runs the guest's part in the VM. Its progress goes to the terminal; its figures come back as JSON. */
function lab(rounds: number): Result[] {
  progress("the lab: map+unmap and device open+close in each mode");
  const guest = join(__dirname, "lab/guest.js");
  const { status, stdout } = spawnSync(
    process.execPath,
    [cli, "lab", "run", "--", process.execPath, guest, String(rounds)],
    { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8", maxBuffer: 1 << 24 },
  );
  const json = stdout.split("\n").find((line) => line.startsWith("[{"));
  if (status !== 0 || json === undefined) throw new Error(`the lab's part failed (exit status ${String(status)})`);
  return JSON.parse(json) as Result[];
}

/** Runs the guest's part, which prints its own table, and returns its exit status. */
function mapping(): number {
  const { status } = spawnSync(
    process.execPath,
    [cli, "lab", "run", "--", process.execPath, join(__dirname, "lab/mapping.js")],
    { stdio: "inherit" },
  );
  return status ?? 1;
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

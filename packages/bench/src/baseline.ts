import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";

const SOURCES = join(__dirname, "../c");
const BINARIES = join(SOURCES, "build");

/** The C programs of `packages/bench/c`. */
export type Baseline = "mmio" | "eventfd" | "round_trip" | "vfio";

/** Compiles the C baseline anew, so that it belongs to the same run as the figures beside it. */
export function buildBaselines(): void {
  mkdirSync(BINARIES, { recursive: true });
  for (const name of ["mmio", "eventfd", "round_trip", "vfio"] satisfies Baseline[]) {
    try {
      const source = join(SOURCES, `${name}.c`);
      execFileSync(process.env["CC"] ?? "cc", ["-O2", "-Wall", "-o", join(BINARIES, name), source, "-pthread"], {
        stdio: ["ignore", "ignore", "pipe"],
      });
    } catch (cause) {
      throw new VfioError(`the C baseline ${name}.c does not compile`, {
        code: "ERR_NO_BASELINE",
        operation: "bench",
        remedy: "install a C compiler (apt-get install gcc libc6-dev), or name one in CC",
        cause,
      });
    }
  }
}

/** The executable of one program. */
export function baselineProgram(name: Baseline): string {
  return join(BINARIES, name);
}

/** Runs one program and returns its lines, split into words. */
export function runBaseline(name: Baseline, ...args: (string | number)[]): string[][] {
  const output = execFileSync(baselineProgram(name), args.map(String), {
    encoding: "utf8",
    timeout: 120_000,
    stdio: ["ignore", "pipe", "pipe"],
  });
  return output
    .trim()
    .split("\n")
    .map((line) => line.split(" "));
}

/** The numbers in the given column of the lines `key NUMBER …`. */
export function column(lines: string[][], key: string, index = 1): number[] {
  return lines.filter(([first]) => first === key).map((words) => Number(words[index]));
}

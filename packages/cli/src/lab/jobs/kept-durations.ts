import { join } from "node:path";
import { type Durations, fullId, type TestOutcome } from "@vfio-selftests/harness";
import { type LabCache, readJson, writeJson } from "@vfio-selftests/lab";
import { type MachineKind, machineName } from "../machine-name";

/**
 * Keeps in the cache how long each test took last, for each set of devices, IOMMU and kind of kernel. The id has the
 * mode.
 */
export class KeptDurations {
  readonly #path: string;
  readonly values: Durations;

  constructor(cache: Pick<LabCache, "runs">, machine: MachineKind) {
    this.#path = join(cache.runs, "durations", `${machineName(machine).replace(/[^\w.+-]/g, "_")}.json`);
    this.values = numbersOf(readJson(this.#path));
  }

  /** Keeps the durations of these tests. That of a test without a result would say nothing. */
  keep(tests: readonly TestOutcome[]): void {
    const taken = tests.map((test) => [fullId(test), Math.round(test.durationMs)] as const);
    writeJson(this.#path, { ...numbersOf(readJson(this.#path)), ...Object.fromEntries(taken) });
  }
}

/** Reads the file, which may be of another version or damaged. Values that are not durations are left out. */
function numbersOf(content: unknown): Record<string, number> {
  if (typeof content !== "object" || content === null) return {};
  const entries = Object.entries(content).filter(([, value]) => typeof value === "number" && value >= 0);
  return Object.fromEntries(entries);
}

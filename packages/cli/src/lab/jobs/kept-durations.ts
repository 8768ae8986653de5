import { join } from "node:path";
import { type Durations, fullId, type TestOutcome } from "@vfio-selftests/harness";
import { type LabCache, readJson, writeJson } from "@vfio-selftests/lab";
import { type MachineKind, machineName } from "../machine-name";

/** How long each test took last time, kept in the cache for each set of devices, IOMMU and kind of kernel; the mode is part of the id. */
export class KeptDurations {
  readonly #path: string;
  readonly values: Durations;

  constructor(cache: Pick<LabCache, "folder">, machine: MachineKind) {
    this.#path = join(cache.folder, "durations", `${machineName(machine).replace(/[^\w.+-]/g, "_")}.json`);
    this.values = numbersOf(readJson(this.#path));
  }

  /** Keeps what these tests took. What a test without a result took says nothing. */
  keep(tests: readonly TestOutcome[]): void {
    const taken = tests.map((test) => [fullId(test), Math.round(test.durationMs)] as const);
    writeJson(this.#path, { ...numbersOf(readJson(this.#path)), ...Object.fromEntries(taken) });
  }
}

/** The file may be of another version, or damaged: what is no duration is left out. */
function numbersOf(content: unknown): Record<string, number> {
  if (typeof content !== "object" || content === null) return {};
  const entries = Object.entries(content).filter(([, value]) => typeof value === "number" && value >= 0);
  return Object.fromEntries(entries);
}

import { randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeFolder } from "@vfio-selftests/core/sysfs";
import {
  type Durations,
  fullId,
  identify,
  selectTests,
  type TestFilter,
  type TestOutcome,
} from "@vfio-selftests/harness";

/** Which of a machine's tests a run takes. */
export interface Selection {
  readonly filter: TestFilter;
  /** The named modes. Empty means all. */
  readonly modes: readonly string[];
}

const EVERYTHING: Selection = { filter: {}, modes: [] };
/** A longer key, that of a list of ids, would hardly come a second time. */
const LONGEST_KEY = 400;

/** Keeps in a file how long each test took last. The id has the mode. */
export class KeptDurations {
  readonly path: string;
  readonly values: Durations;
  /** Milliseconds that all tests of a selection took together, by the selection's key. */
  readonly #totals: Durations;

  /** Those of one of several machines, each with a file in the folder. */
  static of(machine: string, folder: string): KeptDurations {
    return new KeptDurations(join(folder, `${machine.replace(/[^\w.+-]/g, "_")}.json`));
  }

  constructor(path: string) {
    this.path = path;
    const entries = Object.entries(readDurations(path));
    this.#totals = Object.fromEntries(entries.filter(([key]) => isTotal(key)));
    this.values = Object.fromEntries(entries.filter(([key]) => !isTotal(key)));
  }

  /**
   * Milliseconds that the tests of the selection take one after the other. Undefined before a run of the selection or of
   * everything: the tests that other runs have kept may be a small part.
   */
  expected(selection: Selection): number | undefined {
    const total = this.#totals[keyOf(selection)];
    if (total !== undefined) return total;
    if (this.#totals[keyOf(EVERYTHING)] === undefined) return undefined;
    const { filter, modes } = selection;
    const known = Object.keys(this.values).map((key) => ({ ...identify(titlesOf(key)), key }));
    const inModes = known.filter(({ mode }) => mode === undefined || modes.length === 0 || modes.includes(mode));
    return selectTests(inModes, filter).reduce((sum, { key }) => sum + (this.values[key] ?? 0), 0);
  }

  /**
   * Keeps the durations of these tests, and their sum where they are all tests of a selection. The duration of a test
   * without a result would say nothing.
   */
  keep(tests: readonly TestOutcome[], selection?: Selection): void {
    const taken = tests.map(({ id, device, durationMs }) => [fullId({ id, device }), Math.round(durationMs)] as const);
    const sum = taken.reduce((total, [, durationMs]) => total + durationMs, 0);
    const key = selection === undefined ? "" : keyOf(selection);
    const total = isTotal(key) && key.length <= LONGEST_KEY ? { [key]: sum } : {};
    const content = JSON.stringify(
      { ...readDurations(this.path), ...Object.fromEntries(taken), ...total },
      undefined,
      2,
    );
    makeFolder(dirname(this.path));
    // Another run may read the file meanwhile.
    const temporary = `${this.path}.${randomBytes(6).toString("hex")}.tmp`;
    writeFileSync(temporary, `${content}\n`);
    renameSync(temporary, this.path);
  }
}

const TOTAL = "run ";

/** Marks a sum among the tests' ids. A device's id begins with its address, and no other id has a space. */
function keyOf({ filter, modes }: Selection): string {
  return `${TOTAL}${JSON.stringify({ ...filter, modes: [...modes].sort() })}`;
}

function isTotal(key: string): boolean {
  return key.startsWith(TOTAL);
}

/** Splits a full id into the device, if it names one, and the parts of the id. */
function titlesOf(key: string): string[] {
  const [, device, id = key] = /^(\S+) (.*)$/.exec(key) ?? [];
  return [...(device === undefined ? [] : [device]), ...id.split(".")];
}

/** Reads a file, which may be missing, of another version or damaged. Values that are not durations are left out. */
function readDurations(path: string): Durations {
  try {
    const content: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof content !== "object" || content === null) return {};
    return Object.fromEntries(Object.entries(content).filter(([, value]) => typeof value === "number" && value >= 0));
  } catch {
    return {};
  }
}

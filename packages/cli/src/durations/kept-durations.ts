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

interface Content {
  /** Milliseconds, by a test's full id. */
  readonly tests: Durations;
  /** The keys of the selections of which every test has run. */
  readonly whole: readonly string[];
}

/** Keeps in a file how long each test took last. The id has the mode. */
export class KeptDurations {
  readonly path: string;
  readonly values: Durations;
  readonly #whole: readonly string[];

  /** Those of one of several machines, each with a file in the folder. */
  static of(machine: string, folder: string): KeptDurations {
    return new KeptDurations(join(folder, `${machine.replace(/[^\w.+-]/g, "_")}.json`));
  }

  constructor(path: string) {
    this.path = path;
    const { tests, whole } = readContent(path);
    this.values = tests;
    this.#whole = whole;
  }

  /**
   * Milliseconds that the tests of the selection take one after the other. Undefined before a run of the selection or of
   * everything: the tests that other runs have kept may be a small part.
   */
  expected(selection: Selection): number | undefined {
    if (![selection, EVERYTHING].some((one) => this.#whole.includes(keyOf(one)))) return undefined;
    const { filter, modes } = selection;
    const known = Object.keys(this.values).map((key) => ({ ...identify(titlesOf(key)), key }));
    const inModes = known.filter(({ mode }) => mode === undefined || modes.length === 0 || modes.includes(mode));
    return selectTests(inModes, filter).reduce((sum, { key }) => sum + (this.values[key] ?? 0), 0);
  }

  /**
   * Keeps the durations of these tests, and where they are all tests of a selection, that they are. The duration of a test
   * without a result would say nothing.
   */
  keep(tests: readonly TestOutcome[], selection?: Selection): void {
    const kept = readContent(this.path);
    const taken = tests.map(({ id, device, durationMs }) => [fullId({ id, device }), Math.round(durationMs)] as const);
    const keys = selection === undefined ? [] : [keyOf(selection)].filter(({ length }) => length <= LONGEST_KEY);
    const content: Content = {
      tests: { ...kept.tests, ...Object.fromEntries(taken) },
      whole: [...new Set([...kept.whole, ...keys])],
    };
    makeFolder(dirname(this.path));
    // Another run may read the file meanwhile.
    const temporary = `${this.path}.${randomBytes(6).toString("hex")}.tmp`;
    writeFileSync(temporary, `${JSON.stringify(content, undefined, 2)}\n`);
    renameSync(temporary, this.path);
  }
}

function keyOf({ filter, modes }: Selection): string {
  return JSON.stringify({ ...filter, modes: [...modes].sort() });
}

/** Splits a full id into the device, if it names one, and the parts of the id. */
function titlesOf(key: string): string[] {
  const [, device, id = key] = /^(\S+) (.*)$/.exec(key) ?? [];
  return [...(device === undefined ? [] : [device]), ...id.split(".")];
}

/** Reads a file, which may be missing, of another version or damaged. What is no duration or no key is left out. */
function readContent(path: string): Content {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    // The run goes on without.
  }
  const { tests, whole } = (content ?? {}) as Partial<Record<keyof Content, unknown>>;
  const entries = typeof tests === "object" && tests !== null ? Object.entries(tests) : [];
  return {
    tests: Object.fromEntries(entries.filter(([, value]) => typeof value === "number" && value >= 0)),
    whole: Array.isArray(whole) ? whole.filter((key) => typeof key === "string") : [],
  };
}

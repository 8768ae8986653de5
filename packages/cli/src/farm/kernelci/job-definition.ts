import { isRecord } from "./job-node";
import { QuotingError } from "./quoting-error";

/**
 * A job of KernelCI's pull-lab protocol, as this lab runs it (github.com/kernelci/kernelci-core, kernelci/runtime/pull_labs.py
 * and config/runtime/base/pull_labs.jinja2).
 */
export interface JobDefinition {
  readonly kernel: URL;
  /** Of the kernel, where the job tells it. */
  readonly sha256?: string;
  readonly arch: string;
  /** Whether the suites run, and not only the boot is tried. */
  readonly suites: boolean;
  /** A pattern of the chosen tests' ids. Absent: all. */
  readonly test?: string;
  /** What all tests may take together. */
  readonly timeoutMs: number;
}

/** Types of tests that this lab has. A boot is part of each. */
const BOOT_TYPES = ["boot", "baseline"];
const SUITE_TYPES = ["vfio-selftests", "kselftest-vfio-ts"];
/** What a test without a limit has in KernelCI's own template. */
const DEFAULT_TIMEOUT_S = 600;
/** A subset becomes a pattern on a command line, which every test's id is held against. */
const MOST_NAMES = 200;
const LONGEST_NAME = 200;
/** No job may keep the lab for longer. */
const LONGEST_S = 24 * 3600;

/** Reads a job's definition. Throws ERR_KERNELCI_JOB for one that this lab cannot run as it is meant. */
export function parseJobDefinition(text: string): JobDefinition {
  const definition = record(parseJson(text), "the definition");
  const artifacts = record(definition["artifacts"], "artifacts");
  const tests = list(definition["tests"], "tests").map(parseTest);
  const arch = record(definition["environment"], "environment")["arch"];
  if (typeof arch !== "string") throw wrong("environment.arch", arch, "a CPU: x86_64");
  if (tests.length === 0) throw wrong("tests", [], "at least one test");
  const suites = tests.filter((test) => test.suites);
  const seconds = tests.reduce((sum, { timeoutS }) => sum + timeoutS, 0);
  const sha256 = parseSha256(definition["integrity"]);
  const chosen = suites.flatMap((test) => test.subset);
  if (chosen.length > MOST_NAMES)
    throw wrong("the number of parts in all subsets", chosen.length, `${MOST_NAMES} at most`);
  return {
    kernel: address(artifacts["kernel"], "artifacts.kernel"),
    ...(sha256 !== undefined && { sha256 }),
    arch,
    suites: suites.length > 0,
    ...(chosen.length > 0 && suites.every((test) => test.subset.length > 0) && { test: chosen.map(escaped).join("|") }),
    timeoutMs: Math.min(seconds, LONGEST_S) * 1000,
  };
}

interface JobTest {
  readonly suites: boolean;
  readonly timeoutS: number;
  readonly subset: readonly string[];
}

function parseTest(value: unknown, index: number): JobTest {
  const place = `tests[${index}]`;
  const test = record(value, place);
  const { type, timeout_s: timeoutS = DEFAULT_TIMEOUT_S, subset = [], parameters = "" } = test;
  if (typeof type !== "string" || ![...BOOT_TYPES, ...SUITE_TYPES].includes(type)) {
    throw wrong(`${place}.type`, type, [...BOOT_TYPES, ...SUITE_TYPES].join(", "));
  }
  if (typeof timeoutS !== "number" || !(timeoutS > 0)) throw wrong(`${place}.timeout_s`, timeoutS, "seconds, above 0");
  // A job must not be run otherwise than it is meant, nor choose what runs on this machine.
  if (parameters !== "") throw wrong(`${place}.parameters`, parameters, "none: this lab's options are its owner's");
  for (const commands of ["pre-commands", "post-commands"]) {
    const given = list(test[commands] ?? [], `${place}.${commands}`);
    if (given.length > 0) throw wrong(`${place}.${commands}`, given, "none: this lab runs no commands of a job");
  }
  const names = (typeof subset === "string" ? [subset] : list(subset, `${place}.subset`)).map((name) => {
    if (typeof name !== "string" || name === "" || name.length > LONGEST_NAME) {
      throw wrong(`${place}.subset`, name, `parts of tests' ids, of ${LONGEST_NAME} characters at most`);
    }
    return name;
  });
  return { suites: SUITE_TYPES.includes(type), timeoutS, subset: names };
}

function parseSha256(integrity: unknown): string | undefined {
  const sums = isRecord(integrity) ? integrity["sha256"] : undefined;
  const sum = isRecord(sums) ? sums["kernel"] : undefined;
  if (sum === undefined) return undefined;
  if (typeof sum !== "string" || !/^[0-9a-f]{64}$/i.test(sum)) throw wrong("integrity.sha256.kernel", sum, "64 digits");
  return sum.toLowerCase();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidJob("it is no JSON", `it is no JSON (${(error as Error).message})`);
  }
}

/** An address of the web. Throws ERR_KERNELCI_JOB. */
export function address(value: unknown, place: string): URL {
  if (typeof value === "string" && /^https?:/.test(value) && URL.canParse(value)) return new URL(value);
  throw wrong(place, value, "an address that begins with https:// or http://");
}

function record(value: unknown, place: string): Readonly<Record<string, unknown>> {
  if (!isRecord(value)) throw wrong(place, value, "an object");
  return value;
}

function list(value: unknown, place: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(place, value, "a list");
  return value;
}

function escaped(name: string): string {
  return name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** Characters of a wrong value that an error quotes. */
const LONGEST_VALUE = 200;

function wrong(place: string, value: unknown, allowed: string): QuotingError {
  if (value === undefined) return invalidJob(`${place} is missing; allowed: ${allowed}`);
  const shown = JSON.stringify(value).slice(0, LONGEST_VALUE);
  return invalidJob(`${place} has a wrong value; allowed: ${allowed}`, `${place} is ${shown}; allowed: ${allowed}`);
}

/** The error of a job that this lab cannot run as it is meant. `quoted` is for the lab's owner, where it tells more. */
export function invalidJob(why: string, quoted = why): QuotingError {
  const words = (text: string): string => `cannot run the job: ${text}`;
  return new QuotingError(words(why), words(quoted), { code: "ERR_KERNELCI_JOB", operation: "farm kernelci" });
}

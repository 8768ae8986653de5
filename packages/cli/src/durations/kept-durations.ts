import { randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeFolder } from "@vfio-selftests/core/sysfs";
import { type Durations, fullId, type TestOutcome } from "@vfio-selftests/harness";

/** Keeps in a file how long each test took last. The id has the mode. */
export class KeptDurations {
  readonly path: string;
  readonly values: Durations;

  /** Those of one of several machines, each with a file in the folder. */
  static of(machine: string, folder: string): KeptDurations {
    return new KeptDurations(join(folder, `${machine.replace(/[^\w.+-]/g, "_")}.json`));
  }

  constructor(path: string) {
    this.path = path;
    this.values = readDurations(path);
  }

  /** Keeps the durations of these tests. That of a test without a result would say nothing. */
  keep(tests: readonly TestOutcome[]): void {
    const taken = tests.map(({ id, device, durationMs }) => [fullId({ id, device }), Math.round(durationMs)] as const);
    const content = JSON.stringify({ ...readDurations(this.path), ...Object.fromEntries(taken) }, undefined, 2);
    makeFolder(dirname(this.path));
    // Another run may read the file meanwhile.
    const temporary = `${this.path}.${randomBytes(6).toString("hex")}.tmp`;
    writeFileSync(temporary, `${content}\n`);
    renameSync(temporary, this.path);
  }
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

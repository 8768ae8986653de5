import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environmentOptions, identify, type TestOutcome } from "@vfio-selftests/harness";
import { labDurations } from "../lab/jobs/lab-durations";
import { DURATIONS_FILE, runDurations } from "./run-durations";

const cache = { runs: "" };
beforeEach(() => {
  cache.runs = mkdtempSync(join(tmpdir(), "durations-"));
});
afterEach(() => {
  rmSync(cache.runs, { recursive: true });
});

function took(id: string, durationMs: number): TestOutcome {
  return { ...identify(id.split(".")), status: "passed", durationMs, skip: undefined, failures: [], notes: [] };
}

test("the last durations are kept for each set of devices and IOMMU", () => {
  labDurations(cache, {}).keep([took("f.a", 10.4), took("f.b", 20)]);
  labDurations(cache, { devices: ["igb"], iommu: "intel" }).keep([took("f.a", 30)]);
  labDurations(cache, { iommu: "amd" }).keep([took("f.a", 99)]);
  expect(labDurations(cache, {}).values).toEqual({ "f.a": 30, "f.b": 20 });
  expect(labDurations(cache, { devices: ["igb*2"] }).values).toEqual({});
});

describe("the time that a selection is expected to take", () => {
  const everything = { filter: {}, modes: [] };
  const small = { filter: { pattern: "^f\\.a" }, modes: [] };
  const kept = (): ReturnType<typeof labDurations> => labDurations(cache, {});

  test("is unknown where another selection has run: its tests may be a small part", () => {
    kept().keep([took("f.a", 40)], small);
    expect(kept().expected(everything)).toBeUndefined();
    expect(kept().expected({ filter: { pattern: "^f" }, modes: [] })).toBeUndefined();
    expect(kept().expected({ ...small, modes: ["iommufd"] })).toBeUndefined();
    expect(kept().expected(small)).toBe(40);
    // The newest durations count.
    kept().keep([took("f.a", 50)]);
    expect(kept().expected(small)).toBe(50);
    expect(kept().values).toEqual({ "f.a": 50 });
  });

  test("is unknown where a run did not take all of its tests", () => {
    kept().keep([took("f.a", 40)]);
    expect(kept().expected(everything)).toBeUndefined();
  });

  test("is the sum of the selected tests after a run of everything", () => {
    const tests = [
      took("f.iommufd.a", 40),
      { ...took("f.vfio_type1_iommu.b", 20), device: "0000:01:00.0" },
      took("g.c", 9),
    ];
    kept().keep(tests, everything);
    expect(kept().expected(everything)).toBe(69);
    expect(kept().expected({ filter: { pattern: "^f\\." }, modes: [] })).toBe(60);
    expect(kept().expected({ filter: {}, modes: ["iommufd"] })).toBe(49);
    expect(kept().expected({ filter: { ids: ["g.c"] }, modes: [] })).toBe(9);
    expect(kept().expected({ filter: { pattern: "new" }, modes: [] })).toBe(0);
  });

  test("is kept for selections of a bounded length", () => {
    const ids = { filter: { ids: Array.from({ length: 100 }, (_, index) => `f.test_${index}`) }, modes: [] };
    kept().keep([took("f.a", 40)], ids);
    expect(kept().expected(ids)).toBeUndefined();
    expect(kept().values).toEqual({ "f.a": 40 });
  });
});

test("a damaged file is one without durations", () => {
  const kept = labDurations(cache, {});
  kept.keep([]);
  const path = join(cache.runs, "durations", "igb+intel.json");
  for (const content of ["{", "[]", "null", "1", '{"f.a": 1}', '{"tests": {"f.a": "long", "f.b": -1}, "whole": [1]}']) {
    writeFileSync(path, content);
    expect(labDurations(cache, {}).values).toEqual({});
    expect(labDurations(cache, {}).expected({ filter: {}, modes: [] })).toBeUndefined();
  }
});

test("a plain run's durations are kept for each set of devices and for the models; the lab's VM has the host's", () => {
  const before = { ...process.env };
  process.env["XDG_STATE_HOME"] = cache.runs;
  try {
    const models = { ...environmentOptions(), devices: [], full: false, lab: false };
    const device = { ...models, devices: ["0000:6a:01.0"] };
    const repeated = { ...took("f.a", 30), repetition: 2 };
    runDurations(models)?.keep([took("f.a", 10), repeated]);
    expect(runDurations(models)?.values).toEqual({ "f.a": 30 });
    expect(runDurations({ ...models, full: true })?.values).toEqual({});
    runDurations(device)?.keep([took("f.b", 5)]);
    expect(runDurations(device)?.values).toEqual({ "f.b": 5 });
    expect(runDurations({ ...device, lab: true })).toBeUndefined();
    process.env[DURATIONS_FILE] = runDurations(models)?.path ?? "";
    expect(runDurations({ ...device, lab: true })?.values).toEqual({ "f.a": 30 });
  } finally {
    process.env = before;
  }
});

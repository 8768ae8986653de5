import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identify, type TestOutcome } from "@vfio-selftests/harness";
import { KeptDurations } from "./kept-durations";

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
  new KeptDurations(cache, {}).keep([took("f.a", 10.4), took("f.b", 20)]);
  new KeptDurations(cache, { devices: ["igb"], iommu: "intel" }).keep([took("f.a", 30)]);
  new KeptDurations(cache, { iommu: "amd" }).keep([took("f.a", 99)]);
  expect(new KeptDurations(cache, {}).values).toEqual({ "f.a": 30, "f.b": 20 });
  expect(new KeptDurations(cache, { devices: ["igb*2"] }).values).toEqual({});
});

test("a damaged file is one without durations", () => {
  const kept = new KeptDurations(cache, {});
  kept.keep([]);
  const path = join(cache.runs, "durations", "igb+intel.json");
  for (const content of ["{", "[]", "null", '{"f.a": "long", "f.b": -1}']) {
    writeFileSync(path, content);
    expect(new KeptDurations(cache, {}).values).toEqual({});
  }
});

import { parseBenchReport } from "./read-bench-report";
import { sampleBenchReport } from "./testing/sample-bench-report";

const REPORT = sampleBenchReport();
const [DISTRIBUTION] = REPORT.distributions;

it("what is written is read", () => {
  expect(parseBenchReport(JSON.stringify(REPORT), "x")).toEqual(REPORT);
});

it.each<[string, object, string]>([
  ["another version", { ...REPORT, version: 2 }, "its version is 2, and this program reads version 1"],
  ["an unknown field", { ...REPORT, speed: 1 }, "speed is a field that this version does not know"],
  ["no unit", { ...REPORT, results: [{ ...REPORT.results[0], unit: undefined }] }, "results[0].unit is missing"],
  ["no buckets", { ...REPORT, distributions: [{ ...DISTRIBUTION, buckets: [] }] }, "distributions[0].buckets is empty"],
  [
    "buckets out of order",
    { ...REPORT, distributions: [{ ...DISTRIBUTION, buckets: [...(DISTRIBUTION?.buckets ?? [])].reverse() }] },
    "distributions[0].buckets[1] is not above 0, empty, or not above the one before it",
  ],
  [
    "a bucket from 0, which a logarithmic axis has not",
    { ...REPORT, distributions: [{ ...DISTRIBUTION, buckets: [{ from: 0, to: 1, count: 1 }] }] },
    "distributions[0].buckets[0]",
  ],
])("refuses %s", (_, value, message) => {
  expect(() => parseBenchReport(JSON.stringify(value), "x")).toThrow(`cannot read the report x: ${message}`);
});

it("refuses a number that is too large for one", () => {
  const text = JSON.stringify(REPORT).replace('"max":16,"runs"', '"max":1e999,"runs"');
  expect(() => parseBenchReport(text, "x")).toThrow("results[0].typescript.max is null; allowed: a number from 0");
});

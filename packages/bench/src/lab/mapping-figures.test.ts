import { mappingTable, percentilesOf } from "./mapping-figures";

it("percentiles are microseconds of the samples", () => {
  const samples = Array.from({ length: 100 }, (_, index) => (100 - index) * 1000);
  expect(percentilesOf(samples)).toEqual({ p50: 51, p90: 91, p99: 100, max: 100 });
  expect(percentilesOf([2500])).toEqual({ p50: 2.5, p90: 2.5, p99: 2.5, max: 2.5 });
});

it("the table shows missing measurements with the reason", () => {
  const part = { p50: 1, p90: 2, p99: 3, max: 4 };
  const text = mappingTable([
    { mode: "iommufd", thing: "anonymous", size: "4 KiB", count: 10, map: part, unmap: part },
    { mode: "iommufd", thing: "bar", size: "4 KiB", notMeasured: "EFAULT" },
  ]);
  const [head, first, second] = text.split("\n");
  expect(head).toMatch(/map p50 .* unmap max$/);
  expect(first).toMatch(/^iommufd {2}anonymous {2}4 KiB {2}10 +1\.0 +2\.0 +3\.0 +4\.0 +1\.0/);
  expect(second).toMatch(/not measured: EFAULT$/);
});

import { distributionOf } from "../distribution";
import { mappingTable } from "./mapping-figures";

it("the table shows missing measurements with the reason", () => {
  const percentiles = { p50: 1, p90: 2, p99: 3, max: 4 };
  const part = { ...distributionOf({ where: "lab", name: "map", variant: "" }, [1]), percentiles };
  const text = mappingTable([
    { mode: "iommufd", thing: "anonymous", size: "4 KiB", count: 10, map: part, unmap: part },
    { mode: "iommufd", thing: "bar", size: "4 KiB", notMeasured: "EFAULT" },
  ]);
  const [head, first, second] = text.split("\n");
  expect(head).toMatch(/map p50 .* unmap max$/);
  expect(first).toMatch(/^iommufd {2}anonymous {2}4 KiB {2}10 +1\.0 +2\.0 +3\.0 +4\.0 +1\.0/);
  expect(second).toMatch(/not measured: EFAULT$/);
});

import { environmentOptions } from "@vfio-selftests/harness";
import { UPSTREAM_IDS } from "@vfio-selftests/suites/upstream-ids";
import { guestTests } from "./guest-tests";

const nothing = environmentOptions({});
const ids = (options: Partial<typeof nothing> = {}): Set<string> =>
  new Set(guestTests({ ...nothing, ...options }).map(({ id }) => id));

test("all upstream ids are among the tests that a VM can have", () => {
  const all = ids();
  expect(UPSTREAM_IDS.filter((id) => !all.has(id))).toEqual([]);
});

test("auto may stand for any mode, so it can have the tests of each", () => {
  const auto = ids({ modes: ["auto"] });
  for (const mode of ["iommufd", "vfio_type1_iommu"]) {
    expect([...ids({ modes: [mode] })].filter((id) => !auto.has(id))).toEqual([]);
  }
  expect(ids({ modes: ["iommufd"] }).has("vfio_dma_mapping_test.vfio_type1_iommu_anonymous.dma_map_unmap")).toBe(false);
});

test("what a mode can on some kernels alone is among them", () => {
  expect(ids().has("vfio_fail_nth.vfio_type1_iommu.mapping_registers")).toBe(true);
});

test("what other options add is among them", () => {
  expect([...ids({ kvmIrq: "-e" })].some((id) => id.includes("as_asked"))).toBe(true);
  expect([...ids()].some((id) => id.includes("as_asked"))).toBe(false);
  expect(ids({ failingExample: true }).size).toBeGreaterThan(ids().size);
});

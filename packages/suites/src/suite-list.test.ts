import type { IommuMode } from "@vfio-selftests/core";
import { DriverRegistry } from "@vfio-selftests/core/driver";
import { collectTests, selectTests } from "@vfio-selftests/harness";
import { iommuModes } from "@vfio-selftests/iommu-modes";
import { defineSuites } from "./suite-list";
import type { SuiteTarget } from "./suite-target";
import { UPSTREAM_IDS } from "./upstream-ids";

const TARGET: SuiteTarget = {
  kind: "hardware",
  modes: iommuModes,
  devices: ["0000:01:00.0"],
  drivers: new DriverRegistry(),
};

function idsOf(target: SuiteTarget): string[] {
  return collectTests(() => defineSuites(target)).map(({ id }) => id);
}

describe("defineSuites", () => {
  it("defines every one of upstream's ids, each once", () => {
    const ids = idsOf(TARGET);
    expect(UPSTREAM_IDS).toHaveLength(141);
    expect(UPSTREAM_IDS.filter((id) => !ids.includes(id))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("keeps the ids with several devices and repeats them per device", () => {
    const devices = ["0000:01:00.0", "0000:02:00.0"];
    const tests = collectTests(() => defineSuites({ ...TARGET, devices }));
    const binds = tests.filter(({ id }) => id === "vfio_cdev.bind");
    expect(binds.map(({ device }) => device)).toEqual(devices);
  });

  it("leaves out variants of modes that the target has not", () => {
    const [type1] = iommuModes as [IommuMode];
    const ids = idsOf({ ...TARGET, modes: [type1] });
    expect(ids).toContain("vfio_dma_map_limit_test.vfio_type1_iommu.overflow");
    expect(ids.filter((id) => id.includes("iommufd") || id.startsWith("vfio_cdev"))).toEqual([]);
  });

  it("leaves out what only a kernel has on models", () => {
    const ids = idsOf({ ...TARGET, kind: "models", devices: ["model:ioat"] });
    expect(ids).toContain("vfio_pci_device_test.reset");
    expect(ids.filter((id) => /sriov|cdev|init_perf|mmio/.test(id))).toEqual([]);
  });

  it("leaves the tests' errors their frames, even when a suite fails to define its tests", () => {
    const { stackTraceLimit } = Error;
    try {
      Error.stackTraceLimit = 33;
      const failing = {
        ...TARGET,
        get modes(): never {
          throw new Error("no modes");
        },
      };
      expect(() => idsOf(failing)).toThrow("no modes");
      expect(Error.stackTraceLimit).toBe(33);
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  });
});

describe("selectTests", () => {
  const tests = collectTests(() => defineSuites(TARGET));
  const select = (filter: Parameters<typeof selectTests>[1]) => selectTests(tests, filter).map(({ id }) => id);

  it("selects upstream's tests", () => {
    expect(select({ ids: UPSTREAM_IDS }).sort()).toEqual([...UPSTREAM_IDS].sort());
  });

  it("selects by exact id and by pattern, both at once", () => {
    const id = "vfio_cdev.bind";
    expect(select({ ids: [id] })).toEqual([id]);
    expect(select({ pattern: "^VFIO_CDEV[.]bind" })).toEqual([id, "vfio_cdev.bind_bad_iommufd_fails"]);
    expect(select({ ids: [id], pattern: "irq" })).toEqual([]);
  });
});

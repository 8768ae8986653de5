import { type IommuMode, type VfioDevice, VfioError } from "@vfio-selftests/core";
import { systemError } from "@vfio-selftests/core/errors";
import { FakeIommuBackend, FakeVfioDevice } from "@vfio-selftests/core/testing";
import { VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_MASK } from "@vfio-selftests/core/uapi";
import { askVfio } from "./ask-vfio";
import { exampleConfig } from "./testing/example-config";

const ADDRESS = "0000:01:00.0";

function modeOf(open: (address: string) => VfioDevice): IommuMode {
  return { name: "fake", open: () => new FakeIommuBackend(open) } as unknown as IommuMode;
}

it("tells what the device and the IOMMU answer, and closes both", () => {
  const device = new FakeVfioDevice({
    address: ADDRESS,
    config: exampleConfig(),
    regions: {
      0: { size: 0x4000, mappableAreas: [{ offset: 0, size: 0x2000 }] },
      3: { size: 0x1000, writable: false },
    },
    irqs: { 0: { count: 1, maskable: true, autoMasked: true }, 2: { count: 10, noResize: true } },
    onFeature: (flags, payload) => {
      const feature = flags & VFIO_DEVICE_FEATURE_MASK;
      const get = (flags & VFIO_DEVICE_FEATURE_GET) !== 0;
      if (feature === 1 && get) return payload;
      if (feature === 10 && !get) return payload;
      throw systemError(feature === 11 ? -95 : feature === 1 ? -22 : -25, "VFIO_DEVICE_FEATURE");
    },
  });
  const answer = askVfio(
    ADDRESS,
    modeOf(() => device),
  );
  if (!answer.opened) throw new Error(answer.reason);
  expect(answer).toMatchObject({ mode: "fake", resettable: true, pageSizes: [4096n] });
  expect(answer.regions.map(({ name, size, writable }) => [name, size, writable])).toEqual([
    ["BAR 0", 0x4000, true],
    ["BAR 3", 0x1000, false],
    ["config", 4096, true],
  ]);
  expect(answer.interrupts.map(({ name, count }) => [name, count])).toEqual([
    ["INTx", 1],
    ["MSI-X", 10],
  ]);
  expect(answer.iovaRanges).toEqual([{ start: 0n, last: 0xffff_ffff_ffffn }]);
  const granted = answer.features.filter(({ access, error }) => access.length > 0 || error !== undefined);
  expect(granted).toEqual([
    { name: "MIGRATION", access: ["get"] },
    { name: "BUS_MASTER", access: ["set"] },
    { name: "DMA_BUF", access: [], error: "EOPNOTSUPP" },
  ]);
  expect(device.closed).toBe(true);
});

it("gives the kernel's refusal with its remedy", () => {
  const refused = modeOf(() => {
    throw new VfioError("open failed: EBUSY", { code: "EBUSY", operation: "open", remedy: "close the other user" });
  });
  expect(askVfio(ADDRESS, refused)).toEqual({
    opened: false,
    reason: "open failed: EBUSY",
    remedy: "close the other user",
  });
});

it("does not take a defect for a refusal", () => {
  const broken = modeOf(() => {
    throw new TypeError("a defect");
  });
  expect(() => askVfio(ADDRESS, broken)).toThrow(TypeError);
});

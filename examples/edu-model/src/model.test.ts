import { resolve } from "node:path";
import { DmaMemory, Iommu, PciDevice } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import { ModelWorker, VfioUserMode } from "@vfio-selftests/vfio-user";

/** The built model. npm and jest run in the package's folder. */
const MODEL = resolve("dist/model.js");

/** A new model in a thread of its own. */
function connectModel() {
  const worker = new ModelWorker({ module: MODEL });
  return { fd: worker.connect(), close: () => void worker.close(), failure: () => worker.failure };
}

let iommu: Iommu;
let device: PciDevice;
beforeEach(() => {
  iommu = new Iommu(new VfioUserMode({ connectModel }).open());
  device = PciDevice.open(iommu, "model:edu");
});
afterEach(() => {
  device.close();
  iommu.close();
});

const ended = (condition: () => boolean, what: string) =>
  pollUntil(condition, { timeoutMs: 1000, what, subject: device.address });

// #region test
// The numbers are the specification's, written again: a test that took them from registers.ts would share its mistakes.
test("identifies itself, answers with the complement, computes factorials", () => {
  const bar = device.bar(0);
  expect(device.matches(0x1234, 0x11e8)).toBe(true);
  expect(bar.read32(0x00)).toBe(0x0100_00ed);
  bar.write32(0x04, 0x1234_5678);
  expect(bar.read32(0x04)).toBe(0xedcb_a987);
  bar.write32(0x08, 10);
  ended(() => (bar.read32(0x20) & 0x1) === 0, "the factorial");
  expect(bar.read32(0x08)).toBe(3_628_800);
});
// #endregion test

test("copies memory to its buffer and back, and no byte more", () => {
  const bar = device.bar(0);
  using memory = DmaMemory.allocate(0x2000, { backing: "memfd" });
  using region = iommu.map(memory);
  region.bytes.fill(0xee);
  region.bytes.set([1, 2, 3, 4]);
  device.config.busMaster = true;
  const transfer = (source: bigint, destination: bigint, command: number) => {
    bar.write64(0x80, source);
    bar.write64(0x88, destination);
    bar.write64(0x90, 4n);
    bar.write64(0x98, BigInt(command));
    ended(() => (bar.read64(0x98) & 1n) === 0n, "the transfer");
  };
  transfer(region.iova, 0x4_0010n, 0x1);
  transfer(0x4_0010n, region.iova + 0x1000n, 0x3);
  expect([...region.bytes.subarray(0xfff, 0x1005)]).toEqual([0xee, 1, 2, 3, 4, 0xee]);
  // A transfer beyond the buffer moves nothing, and ends.
  transfer(region.iova, 0x4_0ffen, 0x1);
  transfer(0x4_0ffcn, region.iova + 0x1000n, 0x3);
  expect([...region.bytes.subarray(0x1000, 0x1004)]).toEqual([0, 0, 0, 0]);
});

test("waits while it may not master the bus", () => {
  const bar = device.bar(0);
  device.config.busMaster = false;
  bar.write64(0x90, 4n);
  bar.write64(0x88, 0x4_0000n);
  bar.write64(0x98, 1n);
  expect(bar.read64(0x98)).toBe(1n);
  device.config.busMaster = true;
  ended(() => bar.read64(0x98) === 0n, "the transfer");
});

test("raises its interrupt, shows the cause, and forgets it when acknowledged", () => {
  const bar = device.bar(0);
  const { msix } = device.interrupts;
  msix.enable();
  bar.write32(0x20, 0x80);
  bar.write32(0x08, 5);
  expect(msix.vector(0).waitSync({ timeoutMs: 1000 })).toBe(1n);
  expect(bar.read32(0x24)).toBe(1);
  // The same cause again is an interrupt again.
  bar.write32(0x60, 1);
  expect(msix.vector(0).waitSync({ timeoutMs: 1000 })).toBe(1n);
  bar.write32(0x60, 0x10);
  expect(msix.vector(0).waitSync({ timeoutMs: 1000 })).toBe(1n);
  expect(bar.read32(0x24)).toBe(0x11);
  bar.write32(0x64, 1);
  expect(bar.read32(0x24)).toBe(0x10);
  expect(msix.vector(0).tryRead()).toBeUndefined();
});

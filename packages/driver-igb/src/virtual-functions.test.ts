import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DmaMemory, type DmaRegion, Iommu, PciDevice } from "@vfio-selftests/core";
import { DriverSession } from "@vfio-selftests/core/driver";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import { FakeIommuBackend, type FakeVfioDevice, thrownBy } from "@vfio-selftests/core/testing";
import { igbDriver } from "./igb-driver";
import { queueOffsets, Reg } from "./registers";
import { FakeIgb } from "./testing/fake-igb";
import { FakeIgbVf } from "./testing/fake-igb-vf";

const PF = "0000:00:00.0";
const DATA = 4096;
const DESTINATION = 2048;

let folder: string;
let cleanup: (() => void)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "igb-vf-"));
  jest.spyOn(systemPaths, "pciDevice").mockImplementation((...parts) => join(folder, ...parts));
});
afterEach(() => {
  for (const step of cleanup.reverse()) step();
  cleanup = [];
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

interface Bench {
  readonly session: DriverSession;
  readonly device: PciDevice;
  readonly data: DmaRegion;
  copy(fill: number): void;
}

/** Starts the driver on the function. `pf` knows all memory. All functions see one address space, each a part of its own. */
function start(pf: FakeIgb, vfio: FakeVfioDevice, base: bigint): Bench {
  const iommu = new Iommu(new FakeIommuBackend(() => vfio));
  const device = PciDevice.open(iommu, vfio.address);
  const memory = DmaMemory.allocate(DATA);
  const data = iommu.map(memory, { iova: base });
  pf.regions.push(data);
  const map = iommu.map.bind(iommu);
  jest.spyOn(iommu, "map").mockImplementation((...args) => {
    const region = map(...args);
    pf.regions.push(region);
    return region;
  });
  cleanup.push(
    () => memory.close(),
    () => iommu.close(),
  );
  const session = new DriverSession(igbDriver, device, iommu, { iova: base + 0x10_0000n });
  cleanup.push(() => session.close());
  const copy = (fill: number): void => {
    data.bytes.fill(fill, 0, 100);
    session.memcpySync(data.iova, data.iova + BigInt(DESTINATION), 100);
    expect(data.bytes.subarray(DESTINATION, DESTINATION + 100).every((byte) => byte === fill)).toBe(true);
  };
  return { session, device, data, copy };
}

function virtualFunction(pf: FakeIgb, number: number): FakeIgbVf {
  const vf = new FakeIgbVf(pf, number);
  mkdirSync(join(folder, vf.address));
  symlinkSync(`../${PF}`, join(folder, vf.address, "physfn"));
  return vf;
}

function setUp(vfs: number): { pf: FakeIgb; physical: Bench; virtual: Bench[] } {
  const pf = new FakeIgb("emulated", { vfs, address: PF });
  const physical = start(pf, pf, 0x100_0000n);
  const virtual = Array.from({ length: vfs }, (_, number) =>
    start(pf, virtualFunction(pf, number), BigInt(number + 2) * 0x100_0000n),
  );
  return { pf, physical, virtual };
}

it("every function copies by a queue of its own, the physical one by the first that is left", () => {
  const { pf, physical, virtual } = setUp(2);
  const heads = () => [0, 1, 2].map((queue) => pf.get(Reg.RDH + queueOffsets(queue).rx));
  // Each has had its test frame.
  expect(heads()).toEqual([1, 1, 1]);
  virtual[0]?.copy(1);
  expect(heads()).toEqual([2, 1, 1]);
  virtual[1]?.copy(2);
  physical.copy(3);
  expect(heads()).toEqual([2, 2, 2]);
});

it("a virtual function that was reset asks for its queues again", () => {
  const { virtual, physical } = setUp(1);
  const [vf] = virtual as [Bench];
  vf.device.reset();
  expect(thrownBy(() => vf.copy(1))).toMatchObject({ code: "ETIMEDOUT" });
  // The driver has brought it up again.
  vf.copy(2);
  vf.session.remove();
  vf.session.create();
  vf.copy(3);
  physical.copy(4);
});

it("virtual functions stand still while the physical one is down, and work after it came up", () => {
  const { virtual, physical } = setUp(2);
  physical.session.remove();
  const error = thrownBy(() => virtual[0]?.copy(1));
  expect(error).toMatchObject({ code: "ETIMEDOUT" });
  expect(error.message).toContain("the driver of its physical function does not answer");
  physical.session.create();
  for (const { session, copy } of virtual) {
    session.remove();
    session.create();
    copy(2);
  }
});

it("says what is missing where nobody drives the physical function", () => {
  const pf = new FakeIgb("emulated", { vfs: 1, address: PF });
  const error = thrownBy(() => start(pf, virtualFunction(pf, 0), 0x200_0000n));
  expect(error).toMatchObject({ code: "ETIMEDOUT", remedy: expect.stringContaining("physical function") as string });
});

it("leaves a device whose queues all belong to virtual functions alone", () => {
  const pf = new FakeIgb("emulated", { vfs: 8, address: PF });
  expect(thrownBy(() => start(pf, pf, 0x100_0000n))).toMatchObject({
    code: "ERR_NOT_SUPPORTED",
    remedy: "enable at most 7 (sriov_numvfs)",
  });
});

it.each([0, 3, 4, 7])("queue %i has its registers where the datasheet has them", (queue) => {
  const { rx, tx } = queueOffsets(queue);
  const near = queue < 4;
  expect([Reg.RDT + rx, Reg.TDT + tx]).toEqual([
    near ? 0x2818 + 0x100 * queue : 0xc018 + 0x40 * queue,
    near ? 0x3818 + 0x100 * queue : 0xe018 + 0x40 * queue,
  ]);
});

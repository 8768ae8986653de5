import { DmaMemory, Iommu, PciDevice } from "@vfio-selftests/core";
import { FakeIommuBackend, FakeVfioDevice } from "@vfio-selftests/core/testing";
import { eduDriver } from "./edu-driver";
import { EDU_IOVA_LIMIT, EDU_REGISTERS } from "./edu-registers";

const SIZE = 4096;
const LAST = EDU_IOVA_LIMIT - BigInt(SIZE);

test.each([
  ["both at the end of what it reaches", LAST, LAST, undefined],
  ["a source that ends beyond", LAST + 1n, 0n, "source"],
  ["a destination that ends beyond", 0n, LAST + 1n, "destination"],
  ["a source whose low bits are in reach", 2n * EDU_IOVA_LIMIT, 0n, "source"],
])("%s", (_what, source, destination, refused) => {
  using memory = DmaMemory.allocate(SIZE);
  using iommu = new Iommu(new FakeIommuBackend(() => new FakeVfioDevice({ regions: { 0: { size: 1 << 20 } } })));
  using device = PciDevice.open(iommu, "0000:00:11.0");
  const driver = eduDriver.create(device, iommu.map(memory));
  const start = () => driver.memcpyStart(source, destination, SIZE, 1);
  if (refused === undefined) start();
  else expect(start).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT", subject: refused }) as Error);
  expect(device.bar(0).read64(EDU_REGISTERS.dmaSource)).toBe(refused === undefined ? source : 0n);
});

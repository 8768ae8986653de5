import { Errno } from "@vfio-selftests/core/errors";
import {
  IOMMU_DESTROY,
  IOMMU_HWPT_ALLOC,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_UNMAP,
  iommu_hwpt_alloc,
  iommu_ioas_copy,
} from "@vfio-selftests/core/uapi";
import { HardwarePageTable } from "./hardware-page-table";
import { IoAddressSpace } from "./io-address-space";
import type { ObjectCalls } from "./object-calls";

const IOMMUFD = 5;
const OUT_HWPT = iommu_hwpt_alloc.fields.out_hwpt_id.offset;

/** Records requests with their arguments; `results` are given by request. */
function fakeCalls(results: Readonly<Record<number, number>> = {}) {
  const requests: { request: number; bytes: Uint8Array }[] = [];
  const refuse = () => -Errno.EBADF;
  const calls: ObjectCalls = {
    ioctl: (_fd, request, argument) => {
      const bytes = argument as Uint8Array;
      requests.push({ request, bytes: bytes.slice() });
      const words = new Uint32Array(bytes.buffer, 0, Math.floor(bytes.buffer.byteLength / 4));
      if (request === IOMMU_HWPT_ALLOC) words[OUT_HWPT / 4] = 11;
      if (request === IOMMU_IOAS_ALLOC) words[2] = 12;
      if (request === IOMMU_IOAS_COPY && (words[1] ?? 0) % 2 === 0) words[6] = 0x7000;
      return results[request] ?? 0;
    },
    close: refuse,
    read: refuse,
    write: refuse,
    pollBlocking: refuse,
  };
  return { calls, requests };
}

it("a page table names its device and address space, and its fault queue only when it has one", () => {
  const { calls, requests } = fakeCalls();
  const { fields } = iommu_hwpt_alloc;
  const plain = HardwarePageTable.allocate(IOMMUFD, { deviceId: 1, ioasId: 2 }, calls);
  HardwarePageTable.allocate(IOMMUFD, { deviceId: 1, ioasId: 2, faultQueue: { id: 3 } }, calls);
  expect(plain.id).toBe(11);
  const seen = requests.map(({ bytes }) => iommu_hwpt_alloc.copyOf(bytes));
  expect(seen.map((view) => [fields.dev_id.get(view), fields.pt_id.get(view)])).toEqual([
    [1, 2],
    [1, 2],
  ]);
  expect(seen.map((view) => [fields.flags.get(view), fields.fault_id.get(view)])).toEqual([
    [0, 0],
    [4, 3],
  ]);
});

it("an object that could not be destroyed can be closed again later", () => {
  const results: Record<number, number> = { [IOMMU_DESTROY]: -Errno.EBUSY };
  const { calls, requests } = fakeCalls(results);
  const table = HardwarePageTable.allocate(IOMMUFD, { deviceId: 1, ioasId: 2 }, calls);
  const space = IoAddressSpace.allocate(IOMMUFD, calls);
  for (const object of [table, space])
    expect(() => object.close()).toThrow(expect.objectContaining({ code: "EBUSY" }) as Error);
  results[IOMMU_DESTROY] = 0;
  for (const object of [table, space]) {
    object.close();
    object.close();
  }
  expect(requests.filter(({ request }) => request === IOMMU_DESTROY)).toHaveLength(4);
});

it("a mapping is copied to a named IOVA, or to one of the kernel's choice", () => {
  const { calls, requests } = fakeCalls();
  const space = IoAddressSpace.allocate(IOMMUFD, calls);
  const source = { sourceIoasId: 1, sourceIova: 0x4000n, length: 8192 };
  expect(space.copyMapping({ ...source, iova: 0x9000n })).toBe(0x9000n);
  expect(space.copyMapping(source)).toBe(0x7000n);
  const { fields } = iommu_ioas_copy;
  const [named, chosen] = requests.slice(1).map(({ bytes }) => iommu_ioas_copy.copyOf(bytes));
  expect(named && [fields.flags.get(named), fields.dst_ioas_id.get(named), fields.src_ioas_id.get(named)]).toEqual([
    7, 12, 1,
  ]);
  expect(named && [fields.src_iova.get(named), fields.length.get(named)]).toEqual([0x4000n, 8192n]);
  expect(chosen && fields.flags.get(chosen)).toBe(6);
});

it("errors name the areas", () => {
  const { calls } = fakeCalls({ [IOMMU_IOAS_COPY]: -Errno.ENOENT, [IOMMU_IOAS_UNMAP]: -Errno.ENOENT });
  const space = IoAddressSpace.allocate(IOMMUFD, calls);
  expect(() => space.copyMapping({ sourceIoasId: 1, sourceIova: 0x4000n, length: 4096 })).toThrow(
    "IOMMU_IOAS_COPY failed on IOAS 1, IOVA 0x4000 + 4096 to IOAS 12: ENOENT",
  );
  expect(() => space.unmap(0x4000n, 4096n)).toThrow("IOMMU_IOAS_UNMAP failed on IOVA 0x4000 + 4096, IOAS 12: ENOENT");
});

import { Errno } from "@vfio-selftests/core/errors";
import { thrownBy } from "@vfio-selftests/core/testing";
import { IOMMU_HWPT_ALLOC } from "@vfio-selftests/core/uapi";
import { KernelFile } from "../kernel/kernel-file";
import { ioasMap } from "../requests/iommufd";
import { FakeIommufd } from "../testing/fake-iommufd";
import { FakeKernel } from "../testing/fake-kernel";
import { Iommufd } from "./iommufd";

const DEVICE = { id: 7 };

describe("objects of an iommufd", () => {
  let kernel: FakeKernel;
  let file: KernelFile;
  let iommufd: Iommufd;
  beforeEach(() => {
    kernel = new FakeKernel();
    file = KernelFile.open(kernel.environment, kernel.environment.paths.dev("iommu"));
    iommufd = new Iommufd(file);
  });
  afterEach(() => {
    file.close();
    expect(kernel.kinds()).toEqual([]);
    kernel[Symbol.dispose]();
  });

  const inKernel = () => [...kernel.files.values()].find((open) => open instanceof FakeIommufd) as FakeIommufd;
  const mapPages = (iova: bigint, pages: number) =>
    file.ask(ioasMap, "test", iommufd.ioas.id, "read-write", 0x7000_0000n, iova, pages * 4096);

  it("a page table names its device and address space, and its fault queue only when it has one", () => {
    const queue = iommufd.newFaultQueue();
    const plain = iommufd.newPageTable({ device: DEVICE, ioas: iommufd.ioas });
    const asking = iommufd.newPageTable({ device: DEVICE, ioas: iommufd.ioas, faultQueue: queue });
    expect(inKernel().tables.get(plain.id)).toEqual({ ioas: iommufd.ioas.id, queue: undefined });
    expect(inKernel().tables.get(asking.id)).toEqual({ ioas: iommufd.ioas.id, queue: queue.id });
  });

  it("an object that could not be destroyed can be closed again later", () => {
    const space = iommufd.newIoas();
    const queue = iommufd.newFaultQueue();
    const table = iommufd.newPageTable({ device: DEVICE, ioas: space, faultQueue: queue });
    inKernel().attach(DEVICE.id, table.id);
    for (const object of [space, queue, table]) {
      expect(thrownBy(() => object.close())).toMatchObject({
        code: "EBUSY",
        remedy: expect.stringContaining("page tables before fault queues") as string,
      });
      expect(object.closed).toBe(false);
    }
    inKernel().attached.clear();
    for (const object of [table, queue, space]) {
      object.close();
      object.close();
      expect(object.closed).toBe(true);
      expect(() => object.id).toThrow(`id: ${object.name} is closed`);
    }
    expect([inKernel().tables.size, inKernel().queues.size, inKernel().spaces.size]).toEqual([0, 0, 1]);
  });

  it("end with their iommufd, and touch no other one that has its number since", () => {
    const space = iommufd.newIoas();
    const queue = iommufd.newFaultQueue();
    const table = iommufd.newPageTable({ device: DEVICE, ioas: space });
    const objects = [table, queue, space, iommufd.ioas];
    file.close();
    using other = KernelFile.open(kernel.environment, kernel.environment.paths.dev("iommu"));
    const { ioas } = new Iommufd(other);
    new Iommufd(other);
    new Iommufd(other);
    new Iommufd(other);
    const contents = () => [...inKernel().spaces.keys(), ...inKernel().tables.keys(), ...inKernel().queues.keys()];
    const before = contents();
    for (const object of objects) {
      expect(object.closed).toBe(true);
      object.close();
    }
    for (const use of [
      () => space.id,
      () => space.unmap(0n, 4096n),
      () => space.copyMapping(ioas, { sourceIova: 0n, length: 4096 }),
      () => ioas.copyMapping(space, { sourceIova: 0n, length: 4096 }),
      () => iommufd.ioas.iovaRanges(),
      () => iommufd.newIoas(),
      () => iommufd.newFaultQueue(),
      () => queue.read(),
      () => queue.respond(1, "success"),
      () => queue.waitSync({ timeoutMs: 0 }),
    ]) {
      expect(thrownBy(use).code).toBe("ERR_CLOSED");
    }
    expect(thrownBy(() => expect(space.id)).message).toMatch(/^id: .*\/dev\/iommu, and with it IOAS 2, is closed$/);
    expect(contents()).toEqual(before);
  });

  it("are of use with their own iommufd only, where another has their numbers too", () => {
    using otherFile = KernelFile.open(kernel.environment, kernel.environment.paths.dev("iommu"));
    const other = new Iommufd(otherFile);
    const foreign = { ioas: other.ioas, queue: other.newFaultQueue() };
    expect([iommufd.ioas.id, iommufd.newFaultQueue().id]).toEqual([foreign.ioas.id, foreign.queue.id]);
    mapPages(0x4000n, 1);
    const space = iommufd.newIoas();
    for (const use of [
      () => space.copyMapping(foreign.ioas, { sourceIova: 0x4000n, length: 4096 }),
      () => iommufd.newPageTable({ device: DEVICE, ioas: foreign.ioas }),
      () => iommufd.newPageTable({ device: DEVICE, ioas: space, faultQueue: foreign.queue }),
    ]) {
      expect(thrownBy(use)).toMatchObject({
        code: "ERR_INVALID_ARGUMENT",
        message: expect.stringContaining("belongs to another") as string,
      });
    }
    expect(inKernel().spaces.get(space.id)?.maps.size).toBe(0);
    expect(inKernel().tables.size).toBe(0);
  });

  it("a mapping is copied to a named IOVA, or to one of the kernel's choice, with the access asked for", () => {
    mapPages(0x4000n, 2);
    const space = iommufd.newIoas();
    const source = { sourceIova: 0x4000n, length: 8192 };
    expect(space.copyMapping(iommufd.ioas, { ...source, iova: 0x9000n, access: "read" })).toBe(0x9000n);
    expect(space.copyMapping(iommufd.ioas, source)).toBe(0x4000_0000n);
    expect(inKernel().spaces.get(space.id)?.maps).toEqual(
      new Map([
        [0x9000n, { length: 8192n, flags: 4 | 1 }],
        [0x4000_0000n, { length: 8192n, flags: 6 }],
      ]),
    );
    expect(space.unmap(0x9000n, 8192n)).toBe(8192n);
  });

  it("errors name the areas", () => {
    const space = iommufd.newIoas();
    expect(() => space.copyMapping(iommufd.ioas, { sourceIova: 0x4000n, length: 4096 })).toThrow(
      "IOMMU_IOAS_COPY failed on IOAS 1, IOVA 0x4000 + 4096 to IOAS 2: ENOENT",
    );
    expect(() => space.unmap(0x4000n, 4096n)).toThrow("IOMMU_IOAS_UNMAP failed on IOVA 0x4000 + 4096, IOAS 2: ENOENT");
    kernel.failures.set(IOMMU_HWPT_ALLOC.toString(16), Errno.ENODEV);
    expect(() => iommufd.newPageTable({ device: DEVICE, ioas: space })).toThrow(
      "IOMMU_HWPT_ALLOC failed on device 7, IOAS 2: ENODEV",
    );
  });
});

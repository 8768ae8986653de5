import { runInNewContext } from "node:vm";
import fc from "fast-check";
import type { DmaAccess, IommuBackend, IovaRange } from "../contracts/iommu";
import type { MappableMemory } from "../contracts/memory";
import type { VfioDevice } from "../contracts/vfio-device";
import { systemError } from "../errors/vfio-error";
import { DmaMemory } from "../memory/dma-memory";
import { FakeVfioDevice } from "../testing/fake-vfio-device";
import { thrownBy } from "../testing/thrown-by";
import { Iommu } from "./iommu";

const PAGE = 4096;

/**
 * How a mode treats an unmap that cuts through a mapping (vfio_dma_do_unmap, iommufd_vfio_unmap_dma in Linux). `stops`:
 * it unmaps mapping by mapping and stops at one that it may not unmap (iopt_unmap_iova_range).
 */
type Cutting = "type1" | "cut" | "refused" | "stops";

const ENOENT = -2;
const EBUSY = -16;
const EEXIST = -17;
const EINVAL = -22;

/** An address space that keeps the kernel's rules on maps and unmaps, and nothing else. */
class RulesBackend implements IommuBackend {
  readonly mode = "rules";
  choosesIova = false;
  ranges: IovaRange[] = [{ start: 0n, last: 0xffff_ffffn }];
  readonly maps: { iova: bigint; length: bigint; access: DmaAccess }[] = [];
  /** The IOVAs of mappings in use, which `stops` refuses to unmap. */
  readonly locked = new Set<bigint>();
  readonly devices: VfioDevice[] = [];
  closed = false;

  constructor(readonly cutting: Cutting = "refused") {}

  openDevice(address: string): VfioDevice {
    const device = new FakeVfioDevice({ address });
    this.devices.push(device);
    return device;
  }

  map(_memory: unknown, _offset: number, length: number, iova: bigint | undefined, access: DmaAccess): bigint {
    const start = iova ?? 0x7000_0000n;
    const size = BigInt(length);
    if (this.maps.some((map) => start < map.iova + map.length && map.iova < start + size))
      throw systemError(EEXIST, "map");
    this.maps.push({ iova: start, length: size, access });
    this.maps.sort((left, right) => (left.iova < right.iova ? -1 : 1));
    return start;
  }

  unmap(iova: bigint, length: bigint): bigint {
    const end = iova + length;
    const touched = this.maps.filter((map) => map.iova < end && iova < map.iova + map.length);
    const cut = touched.some((map) => map.iova < iova || map.iova + map.length > end);
    if (cut && this.cutting === "refused") throw systemError(EINVAL, "unmap");
    if (this.cutting === "cut") return this.#cut(touched, iova, end);
    let bytes = 0n;
    for (const map of touched) {
      if (this.cutting === "stops") {
        if (map.iova < iova || map.iova + map.length > end) throw systemError(ENOENT, "unmap");
        if (this.locked.has(map.iova)) throw systemError(EBUSY, "unmap");
      } else if (map.iova < iova) break;
      bytes += map.length;
      this.maps.splice(this.maps.indexOf(map), 1);
    }
    return bytes;
  }

  #cut(touched: RulesBackend["maps"], start: bigint, end: bigint): bigint {
    let bytes = 0n;
    for (const map of touched) {
      const last = map.iova + map.length;
      const parts = [
        { ...map, length: start - map.iova },
        { ...map, iova: end, length: last - end },
      ].filter(({ length }) => length > 0n);
      this.maps.splice(this.maps.indexOf(map), 1, ...parts);
      bytes += map.length - parts.reduce((sum, { length }) => sum + length, 0n);
    }
    return bytes;
  }

  unmapAll(): bigint {
    return this.unmap(0n, 1n << 64n);
  }

  isMapped(iova: bigint): boolean {
    return this.maps.some((map) => map.iova <= iova && iova < map.iova + map.length);
  }

  iovaRanges(): readonly IovaRange[] {
    return this.ranges;
  }

  pageSizes(): bigint {
    return 0x1000n;
  }

  close(): void {
    this.closed = true;
  }
}

describe("Iommu", () => {
  let backend: RulesBackend;
  let iommu: Iommu;
  let memory: DmaMemory;
  beforeEach(() => {
    backend = new RulesBackend();
    iommu = new Iommu(backend);
    memory = DmaMemory.allocate(8 * PAGE);
  });
  afterEach(() => {
    iommu.close();
    memory.close();
  });

  it("maps all of a memory read-write at a free IOVA, never at page 0", () => {
    const region = iommu.map(memory);
    expect(region).toMatchObject({ iova: 0x8000n, length: 8 * PAGE, access: "read-write", offset: 0, mapped: true });
    expect(iommu.map(memory, { length: PAGE }).iova).toBe(0x1000n);
  });

  it("maps a part, with the access asked for, where it is told", () => {
    const region = iommu.map(memory, { iova: 0x5000n, offset: 2 * PAGE, length: PAGE, access: "read" });
    expect(backend.maps).toEqual([{ iova: 0x5000n, length: 4096n, access: "read" }]);
    region.bytes[0] = 0xab;
    expect(new Uint8Array(memory.buffer)[2 * PAGE]).toBe(0xab);
    expect(region.words().length).toBe(PAGE / 4);
    expect(region.iovaOf(PAGE)).toBe(0x6000n);
    expect(() => region.iovaOf(PAGE + 1)).toThrow("offset is 4097; allowed: 0 to 4096");
  });

  it("finds the IOVA of an address and the region of an IOVA, until they are unmapped", () => {
    const region = iommu.map(memory, { iova: 0x10000n, offset: PAGE, length: PAGE });
    expect(iommu.iovaOf(memory.address + 4097n)).toBe(0x10001n);
    expect(iommu.iovaOf(memory.address + 4095n)).toBeUndefined();
    expect(iommu.regionAt(0x10fffn)).toBe(region);
    expect(iommu.regionAt(0x11000n)).toBeUndefined();
    expect(region.unmap()).toBe(4096n);
    expect(iommu.iovaOf(memory.address + 4097n)).toBeUndefined();
    expect(iommu.regionAt(0x10000n)).toBeUndefined();
  });

  it("unmaps once", () => {
    const region = iommu.map(memory);
    expect(region.unmap()).toBe(BigInt(8 * PAGE));
    expect(region.unmap()).toBe(0n);
    expect(() => iommu.unmap(region)).toThrow("is closed");
  });

  it("uses an IOVA again after the unmap, and not one that somebody mapped by hand", () => {
    const first = iommu.map(memory, { length: PAGE });
    const fixed = iommu.map(memory, { iova: 0x2000n, length: PAGE });
    expect(iommu.map(memory, { length: PAGE }).iova).toBe(0x3000n);
    first.unmap();
    fixed.unmap();
    expect(iommu.map(memory, { length: PAGE }).iova).toBe(0x1000n);
    expect(iommu.map(memory, { length: PAGE }).iova).toBe(0x2000n);
  });

  it("gives the IOVA back when the kernel refuses the map", () => {
    iommu.map(memory, { length: PAGE });
    backend.maps.push({ iova: 0x2000n, length: 4096n, access: "read" });
    expect(() => iommu.map(memory, { length: PAGE })).toThrow("EEXIST");
    backend.maps.pop();
    expect(iommu.map(memory, { length: PAGE }).iova).toBe(0x2000n);
  });

  it("keeps reserved IOVAs free of automatic maps, but open to fixed ones", () => {
    const reservation = iommu.reserveIova(4 * PAGE);
    expect(reservation.iova).toBe(0x4000n);
    expect(iommu.map(memory, { length: 4 * PAGE }).iova).toBe(0x8000n);
    const inside = iommu.map(memory, { iova: reservation.iova, length: PAGE });
    expect(() => {
      reservation.release();
    }).toThrow("0x4000 of the reservation is still mapped");
    inside.unmap();
    reservation.release();
    reservation.release();
    expect(iommu.map(memory, { length: 4 * PAGE }).iova).toBe(0x4000n);
  });

  it("keeps a reservation whole after a mapping across its edge is gone", () => {
    const reservation = iommu.reserveIova(4 * PAGE);
    const across = iommu.map(memory, { iova: reservation.iova + 0x3000n, length: 2 * PAGE });
    across.unmap();
    expect(iommu.map(memory, { length: 4 * PAGE }).iova).toBe(0x8000n);
  });

  it("leaves the choice of the IOVA to the kernel when asked, where the mode can", () => {
    expect(() => iommu.map(memory, { iova: "kernel" })).toThrow("in mode rules the kernel does not choose");
    backend.choosesIova = true;
    const region = iommu.map(memory, { iova: "kernel" });
    expect(region.iova).toBe(0x7000_0000n);
    expect(iommu.regionAt(0x7000_0fffn)).toBe(region);
  });

  it("takes new IOVA ranges from the kernel when a device has joined", () => {
    expect(iommu.map(memory, { length: PAGE }).iova).toBe(0x1000n);
    backend.ranges = [{ start: 0x10_0000n, last: 0x1f_ffffn }];
    iommu.openDevice("0000:01:00.0");
    expect(iommu.map(memory, { length: PAGE }).iova).toBe(0x10_0000n);
  });

  it("refuses areas outside the memory, and addresses that are not 64 bits", () => {
    expect(() => iommu.map(memory, { offset: PAGE, length: 8 * PAGE })).toThrow("inside the memory's 32768 bytes");
    expect(() => iommu.map(memory, { offset: -1, length: PAGE })).toThrow("inside the memory's");
    expect(() => iommu.map(memory, { iova: -1n })).toThrow("0 to 2^64 - 1");
    // What a caller without types may pass.
    const badly = (options: object) => () => iommu.map(memory, options);
    expect(badly({ iova: 5 })).toThrow("map: iova is 5; allowed: a bigint from 0 to 2^64 - 1");
    expect(badly({ offset: 8n })).toThrow("map: offset is 0x8; allowed: an integer, of type number");
    expect(badly({ length: 8n })).toThrow("map: length is 0x8; allowed: an integer, of type number");
    expect(() => iommu.map(memory, { iova: 1n << 64n })).toThrow("0 to 2^64 - 1");
    expect(() => iommu.unmapRange(0n, 1n << 64n)).toThrow("0 to 2^64 - 1");
  });

  it("keeps memory from closing while it is mapped, naming the IOVA", () => {
    const region = iommu.map(memory, { iova: 0xabc000n });
    expect(() => {
      memory.close();
    }).toThrow("still mapped for DMA at IOVA 0xabc000");
    region.unmap();
    memory.close();
    expect(() => iommu.map(memory)).toThrow("the memory is closed");
  });

  it("forgets what an unmap of a range took away", () => {
    const regions = [0, 1, 2].map((index) => iommu.map(memory, { iova: BigInt(0x10000 * (index + 1)), length: PAGE }));
    expect(iommu.unmapRange(0x10000n, 0x20000n)).toBe(8192n);
    expect(regions.map(({ mapped }) => mapped)).toEqual([false, false, true]);
    expect(iommu.regions).toEqual([regions[2]]);
    expect(iommu.unmapAll()).toBe(4096n);
    expect(iommu.regions).toEqual([]);
  });

  it("follows type1, which takes away whole mappings or nothing", () => {
    const space = new Iommu(new RulesBackend("type1"));
    const region = space.map(memory, { iova: 0x10000n, length: 4 * PAGE });
    expect(space.unmapRange(0x11000n, 0x1000n)).toBe(0n);
    expect(region.mapped).toBe(true);
    expect(space.unmapRange(0x10000n, 0x1000n)).toBe(0x4000n);
    expect(region.mapped).toBe(false);
  });

  it("keeps what is left of a region that was cut, with its memory", () => {
    const space = new Iommu(new RulesBackend("cut"));
    const region = space.map(memory, { iova: 0x10000n, offset: PAGE, length: 5 * PAGE, access: "write" });
    expect(space.unmapRange(0x12000n, 0x1000n)).toBe(0x1000n);
    expect(region.mapped).toBe(false);
    expect(space.regions).toMatchObject([
      { iova: 0x10000n, length: 2 * PAGE, offset: PAGE, access: "write" },
      { iova: 0x13000n, length: 2 * PAGE, offset: 4 * PAGE, access: "write" },
    ]);
    expect(space.iovaOf(memory.address + BigInt(4 * PAGE))).toBe(0x13000n);
    expect(() => {
      memory.close();
    }).toThrow("IOVA 0x10000, 0x13000");
    space.close();
  });

  it("keeps the books when the kernel refuses to cut a mapping", () => {
    const region = iommu.map(memory, { iova: 0x10000n, length: 4 * PAGE });
    expect(() => iommu.unmapRange(0x10000n, 0x1000n)).toThrow("EINVAL");
    expect(region.mapped).toBe(true);
    expect(iommu.regionAt(0x13fffn)).toBe(region);
  });

  it("forgets what an unmap took before it failed half-way", () => {
    const rules = new RulesBackend("stops");
    const space = new Iommu(rules);
    const [first, second, third] = [1, 2, 3].map((n) => space.map(memory, { iova: BigInt(n * 0x10000), length: PAGE }));
    rules.locked.add(0x20000n);
    expect(() => space.unmapRange(0x10000n, 0x30000n)).toThrow("EBUSY");
    expect([first, second, third].map((region) => region?.mapped)).toEqual([false, true, true]);
    expect(() => space.unmapAll()).toThrow("EBUSY");
    expect(() => second?.unmap()).toThrow("EBUSY");
    expect(space.regions).toEqual([second, third]);
    rules.locked.clear();
    // The end of the area cuts through the third.
    const fourth = space.map(memory, { iova: 0x40000n, length: 2 * PAGE });
    expect(() => space.unmapRange(0x20000n, 0x21000n)).toThrow("ENOENT");
    expect(space.regions).toEqual([fourth]);
    fourth.unmap();
    space.close();
    memory.close();
  });

  it("forgets a region that the back end lost, when its unmap fails", () => {
    const rules = new RulesBackend("stops");
    const space = new Iommu(rules);
    const region = space.map(memory, { length: PAGE });
    rules.unmap = (iova: bigint): bigint => {
      rules.maps.splice(0);
      throw systemError(-5, "unmap", { subject: `0x${iova.toString(16)}` });
    };
    expect(() => region.unmap()).toThrow("EIO");
    expect(region.mapped).toBe(false);
    memory.close();
  });

  it("refuses a region of another address space, and leaves both as they were", () => {
    const other = new Iommu(new RulesBackend());
    const [mine, theirs] = [iommu.map(memory, { iova: 0x1000n }), other.map(memory, { iova: 0x1000n })];
    expect(thrownBy(() => iommu.unmap(theirs))).toMatchObject({
      code: "ERR_INVALID_ARGUMENT",
      message: expect.stringContaining("this one belongs to another") as string,
    });
    expect([mine.mapped, theirs.mapped]).toEqual([true, true]);
    expect([iommu.regions, other.regions]).toEqual([[mine], [theirs]]);
    expect(other.unmap(theirs)).toBe(BigInt(8 * PAGE));
    other.close();
    expect(() => {
      memory.close();
    }).toThrow("still mapped for DMA at IOVA 0x1000");
  });

  it("lets nobody else say what is mapped", () => {
    const region = iommu.map(memory);
    expect(() => {
      (region as { mapped: boolean }).mapped = false;
    }).toThrow(TypeError);
    expect(region.mapped).toBe(true);
    expect(Object.keys(region).sort()).toEqual(["access", "iova", "length", "memory", "offset"]);
  });

  it.each<[string, (space: Iommu, memory: DmaMemory) => unknown, string]>([
    ["an IOVA", (space, mapped) => space.map(mapped, { iova: 5 as unknown as bigint }), "iova is 5"],
    ["a limit", (space, mapped) => space.map(mapped, { below: 5 as unknown as bigint }), "below is 5"],
    ["an access", (space, mapped) => space.map(mapped, { access: "rw" as DmaAccess }), 'access is "rw"'],
    ["an area", (space) => space.unmapRange(0n, 5 as unknown as bigint), "length is 5"],
    ["an IOVA to look up", (space) => space.regionAt(5 as unknown as bigint), "iova is 5"],
    ["an address to look up", (space) => space.iovaOf(5 as unknown as bigint), "address is 5"],
  ])("names %s of the wrong type", (_, call, message) => {
    const error = thrownBy(() => call(iommu, memory));
    expect(error).toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
    expect(error).toHaveProperty("message", expect.stringContaining(message));
  });

  it("refuses a region's bytes once its memory is closed", () => {
    const region = iommu.map(memory);
    expect(region.bytes).toHaveLength(8 * PAGE);
    iommu.close();
    memory.close();
    expect(thrownBy(() => region.bytes)).toMatchObject({ code: "ERR_CLOSED" });
    expect(thrownBy(() => region.words())).toMatchObject({ code: "ERR_CLOSED" });
  });

  it("waits for a promise of another realm and for any other thenable", async () => {
    const settle: ((value: number) => void)[] = [];
    const thenable = { then: (resolve: (value: number) => void) => settle.push(resolve) };
    const foreign = runInNewContext("new Promise((resolve) => settle.push(resolve))", { settle }) as Promise<number>;
    expect(foreign).not.toBeInstanceOf(Promise);
    for (const pending of [foreign, thenable as unknown as PromiseLike<number>]) {
      const later = iommu.withMapping(memory, {}, () => pending);
      await Promise.resolve();
      expect(backend.maps).toHaveLength(1);
      settle.pop()?.(7);
      expect(await later).toBe(7);
      expect(backend.maps).toEqual([]);
    }
  });

  it("tells both errors when the use and the unmap after it fail", async () => {
    const use = new Error("use failed");
    const failing = (): never => {
      throw use;
    };
    backend.unmap = () => {
      throw systemError(EBUSY, "unmap");
    };
    expect(() => iommu.withMapping(memory, {}, failing)).toThrow(/use failed.*EBUSY/);
    await expect(iommu.withMapping(memory, { iova: 0x10_0000n }, () => Promise.reject(use))).rejects.toThrow(
      /use failed.*EBUSY/,
    );
  });

  it("unmaps after the use, also when that throws or takes its time", async () => {
    expect(iommu.withMapping(memory, { length: PAGE }, (region) => region.length)).toBe(PAGE);
    expect(() =>
      iommu.withMapping(memory, {}, () => {
        throw new Error("use failed");
      }),
    ).toThrow("use failed");
    const later = iommu.withMapping(memory, {}, async (region) => {
      await Promise.resolve();
      return region.mapped;
    });
    expect(backend.maps.length).toBe(1);
    expect(await later).toBe(true);
    expect(backend.maps).toEqual([]);
  });

  it("closes with all its devices and regions, once", () => {
    const device = iommu.openDevice("0000:01:00.0");
    const region = iommu.map(memory);
    iommu.close();
    iommu.close();
    expect([device.closed, region.mapped, backend.closed]).toEqual([true, false, true]);
    expect(region.unmap()).toBe(0n);
    memory.close();
    expect(() => iommu.map(memory)).toThrow("Iommu rules is closed");
    expect(() => iommu.openDevice("0000:01:00.0")).toThrow("Iommu rules is closed");
    expect(() => iommu.iovaRanges()).toThrow("Iommu rules is closed");
  });

  it("closes to the end whatever a child throws, and closes what was built on its devices", () => {
    const order: string[] = [];
    const child = (name: string) => ({
      close: () => {
        order.push(name);
        throw new Error(`${name} failed`);
      },
    });
    const region = iommu.map(memory);
    iommu.adopt(child("first"));
    const release = iommu.adopt(child("gone"));
    iommu.adopt(child("second"));
    release();
    const device = iommu.openDevice("0000:01:00.0");
    expect(() => {
      iommu.close();
    }).toThrow("second failed; first failed");
    expect(order).toEqual(["second", "first"]);
    expect([device.closed, region.mapped, backend.closed]).toEqual([true, false, true]);
  });

  it("keeps exact books over any sequence of maps, unmaps and range unmaps", () => {
    const page = fc.nat(24);
    const step = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          kind: fc.constant("map" as const),
          page: fc.option(page, { nil: undefined }),
          pages: fc.integer({ min: 1, max: 8 }),
          offset: fc.nat(7),
        }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("unmap" as const), which: fc.nat(5) }) },
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant("range" as const), page, pages: fc.integer({ min: 1, max: 24 }) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("all" as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("lock" as const), which: fc.nat(5) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("unlock" as const) }) },
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 20, size: "max" }),
        fc.constantFrom<Cutting>("type1", "cut", "refused", "stops"),
        (steps, cutting) => {
          const rules = new RulesBackend(cutting);
          rules.ranges = [{ start: 0n, last: 0x3f_ffffn }];
          const space = new Iommu(rules);
          const told = new Set<unknown>();
          const watched: MappableMemory = {
            address: memory.address,
            length: memory.length,
            closed: false,
            addMapping: (mapping) => void told.add(mapping),
            removeMapping: (mapping) => void told.delete(mapping),
          };
          for (const action of steps) {
            try {
              if (action.kind === "map") {
                const offset = Math.min(action.offset, 8 - action.pages) * PAGE;
                const place = action.page === undefined ? {} : { iova: BigInt(action.page * PAGE) };
                space.map(watched, { ...place, offset, length: action.pages * PAGE });
              } else if (action.kind === "unmap") {
                space.regions[action.which]?.unmap();
              } else if (action.kind === "range") {
                space.unmapRange(BigInt(action.page * PAGE), BigInt(action.pages * PAGE));
              } else if (action.kind === "lock") {
                const region = space.regions[action.which];
                if (region !== undefined) rules.locked.add(region.iova);
              } else if (action.kind === "unlock") {
                rules.locked.clear();
              } else {
                space.unmapAll();
              }
            } catch (error) {
              // The books should have kept an automatic map from hitting another one.
              if (action.kind === "map" && action.page === undefined) throw error;
            }
            const books = space.regions.map(({ iova, length }) => ({
              iova,
              length: BigInt(length),
              access: "read-write",
            }));
            expect(books).toEqual(rules.maps);
            expect(told).toEqual(new Set(space.regions));
            expect(space.regions.every(({ mapped }) => mapped)).toBe(true);
            const pages = Array.from({ length: 32 }, (_, at) => BigInt(at * PAGE));
            expect(pages.map((iova) => space.regionAt(iova)?.iova)).toEqual(
              pages.map((iova) => rules.maps.find((map) => map.iova <= iova && iova < map.iova + map.length)?.iova),
            );
            const unfound = pages.slice(0, 8).filter((distance) => {
              const address = memory.address + distance;
              const candidates = space.regions
                .filter((region) => region.address <= address && address < region.address + BigInt(region.length))
                .map((region) => region.iova + (address - region.address));
              const found = space.iovaOf(address);
              return found === undefined ? candidates.length > 0 : !candidates.includes(found);
            });
            expect(unfound).toEqual([]);
          }
          space.close();
        },
      ),
    );
  });
});

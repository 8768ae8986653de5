import fc from "fast-check";
import { decodeIrqInfo, decodeRegionInfo } from "./decode-info";
import {
  VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
  VFIO_REGION_INFO_CAP_SPARSE_MMAP,
  VFIO_REGION_INFO_CAP_TYPE,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
} from "./vfio-numbers";
import { vfio_irq_info } from "./vfio-structs";

/** A region's reply with capabilities as [id, payload words…], each starting at a multiple of 8. */
function reply(flags: number, size: number, ...capabilities: number[][]): Uint8Array {
  const words = [0, flags, 0, 0, size, 0, 0, 1 << 8];
  let link = 3;
  for (const [id = 0, ...payload] of capabilities) {
    words[link] = words.length * 4;
    link = words.length + 1;
    words.push(id | (1 << 16), 0, ...payload);
    if (words.length % 2 === 1) words.push(0);
  }
  return new Uint8Array(Uint32Array.from(words).buffer);
}

const MAPPABLE = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_MMAP;

describe("decodeRegionInfo", () => {
  it("may map the whole of a mappable region without capabilities", () => {
    expect(decodeRegionInfo(2, reply(MAPPABLE, 0x4000))).toEqual({
      index: 2,
      flags: MAPPABLE,
      size: 0x4000,
      offset: 0x100_0000_0000n,
      readable: true,
      writable: false,
      mappable: true,
      mappableAreas: [{ offset: 0, size: 0x4000 }],
      msixMappable: false,
    });
  });

  it("may map only the areas of the sparse-mmap capability, leaving out empty ones", () => {
    const sparse = [VFIO_REGION_INFO_CAP_SPARSE_MMAP, 3, 0, 0, 0, 0x1000, 0, 0x2000, 0, 0, 0, 0x3000, 0, 0x1000, 0];
    const info = decodeRegionInfo(
      0,
      reply(MAPPABLE | VFIO_REGION_INFO_FLAG_CAPS, 0x4000, [VFIO_REGION_INFO_CAP_MSIX_MAPPABLE], sparse),
    );
    expect(info.mappableAreas).toEqual([
      { offset: 0, size: 0x1000 },
      { offset: 0x3000, size: 0x1000 },
    ]);
    expect(info.msixMappable).toBe(true);
  });

  it("knows the type of a device-specific region", () => {
    const flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_CAPS;
    const info = decodeRegionInfo(9, reply(flags, 0x2000, [VFIO_REGION_INFO_CAP_TYPE, 0x80008086, 1]));
    expect(info).toMatchObject({ mappable: false, mappableAreas: [], type: { type: 0x80008086, subtype: 1 } });
  });

  it("maps nothing of a region that does not exist", () => {
    expect(decodeRegionInfo(0, reply(MAPPABLE, 0))).toMatchObject({ mappable: false, mappableAreas: [] });
  });

  it("offers no area outside of the region, and believes no count", () => {
    const flags = MAPPABLE | VFIO_REGION_INFO_FLAG_CAPS;
    const outside = [VFIO_REGION_INFO_CAP_SPARSE_MMAP, 1, 0, 0x3000, 0, 0x2000, 0];
    expect(decodeRegionInfo(0, reply(flags, 0x4000, outside)).mappableAreas).toEqual([]);
    const endless = [VFIO_REGION_INFO_CAP_SPARSE_MMAP, 0xffff_ffff, 0, 0, 0, 0x1000, 0];
    expect(() => decodeRegionInfo(0, reply(flags, 0x4000, endless))).toThrow("ends behind");
  });

  it("survives any reply: a region, or an error of ours", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        try {
          decodeRegionInfo(0, bytes);
        } catch (error) {
          expect((error as { code: string }).code).toMatch(/^ERR_/);
        }
      }),
    );
  });
});

test("decodeIrqInfo names the flags", () => {
  const info = vfio_irq_info.allocate();
  vfio_irq_info.fields.flags.set(info, 0b0101);
  vfio_irq_info.fields.count.set(info, 7);
  expect(decodeIrqInfo(2, info)).toEqual({
    index: 2,
    flags: 5,
    count: 7,
    eventfd: true,
    maskable: false,
    autoMasked: true,
    noResize: false,
  });
});

import {
  VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
  VFIO_REGION_INFO_CAP_SPARSE_MMAP,
  VFIO_REGION_INFO_CAP_TYPE,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
} from "@vfio-selftests/core";
import fc from "fast-check";
import { encodeSetIrqs } from "./irq-set";
import { decodeRegionInfo } from "./region-info";
import { decodeType1Info } from "./type1-info";
import { groupDeviceName, vfTokenBytes } from "./vf-token";

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

  it("survives any reply: a region, or an error of ours", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        for (const decode of [() => decodeRegionInfo(0, bytes), () => decodeType1Info(bytes)]) {
          try {
            decode();
          } catch (error) {
            expect((error as { code: string }).code).toMatch(/^ERR_/);
          }
        }
      }),
    );
  });
});

describe("encodeSetIrqs", () => {
  const words = (bytes: Uint8Array) => [...new Int32Array(bytes.slice(0, bytes.length & ~3).buffer)];

  it("sets eventfds, -1 for none", () => {
    const bytes = encodeSetIrqs({ index: 2, action: "trigger", start: 1, count: 2, data: { eventfds: [7, -1] } });
    expect(words(bytes)).toEqual([28, 0x24, 2, 1, 2, 7, -1]);
  });

  it("disables an index", () => {
    expect(words(encodeSetIrqs({ index: 1, action: "trigger", start: 0, count: 0 }))).toEqual([20, 0x21, 1, 0, 0]);
  });

  it("passes booleans as bytes", () => {
    const bytes = encodeSetIrqs({ index: 0, action: "mask", start: 0, count: 3, data: { bools: [true, false, true] } });
    expect(words(bytes)).toEqual([23, 0x0a, 0, 0, 3]);
    expect([...bytes.slice(20)]).toEqual([1, 0, 1]);
  });

  it("refuses a count that its data does not have", () => {
    const request = { index: 0, action: "unmask", start: 0, count: 1, data: { eventfds: [] } } as const;
    expect(() => encodeSetIrqs(request)).toThrow("count is 1; allowed: 0, the number of values given");
  });
});

describe("VF tokens", () => {
  const TOKEN = "83F2AB01-0000-4567-89ab-cdef01234567";

  it("are the UUID's bytes in the order of its text, or the text after the device's name", () => {
    expect(Buffer.from(vfTokenBytes(TOKEN)).toString("hex")).toBe("83f2ab010000456789abcdef01234567");
    expect(Buffer.from(groupDeviceName("0000:01:10.0", TOKEN)).toString()).toBe(`0000:01:10.0 vf_token=${TOKEN}\0`);
    expect(Buffer.from(groupDeviceName("0000:01:10.0", undefined)).toString()).toBe("0000:01:10.0\0");
  });

  it.each(["", "83f2ab01", `${TOKEN}0`, `${TOKEN} `])("are refused when they are no UUID: %j", (token) => {
    expect(() => vfTokenBytes(token)).toThrow("a UUID");
    expect(() => groupDeviceName("0000:01:10.0", token)).toThrow("a UUID");
  });
});

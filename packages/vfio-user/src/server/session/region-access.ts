import type { ModelRegion } from "../device-model";
import { PciRegion } from "../device-model";

/** A 64-byte store (MOVDIR64B, ENQCMD) is one access. */
const WIDE_STORE = 64;

/** The widest access at `offset`, 1 to `widest`, when `left` bytes remain. */
function widthAt(offset: number, left: number, widest: 4 | 8): 1 | 2 | 4 | 8 {
  if (widest === 8 && offset % 8 === 0 && left >= 8) return 8;
  if (offset % 4 === 0 && left >= 4) return 4;
  return offset % 2 === 0 && left >= 2 ? 2 : 1;
}

function widestOf(index: number): 4 | 8 {
  return index === PciRegion.config ? 4 : 8;
}

/** Reads `count` bytes at `offset` of a region into `data` from byte `at` on. The range lies inside the region. */
export function readRegion(
  index: number,
  region: ModelRegion,
  offset: number,
  count: number,
  data: DataView,
  at: number,
): void {
  const widest = widestOf(index);
  for (let done = 0; done < count;) {
    const from = offset + done;
    const to = at + done;
    const width = widthAt(from, count - done, widest);
    switch (width) {
      case 8:
        if (region.read64 !== undefined) {
          data.setBigUint64(to, region.read64(from), true);
        } else {
          data.setUint32(to, region.read(from, 4), true);
          data.setUint32(to + 4, region.read(from + 4, 4), true);
        }
        break;
      case 4:
        data.setUint32(to, region.read(from, 4), true);
        break;
      case 2:
        data.setUint16(to, region.read(from, 2), true);
        break;
      case 1:
        data.setUint8(to, region.read(from, 1));
        break;
    }
    done += width;
  }
}

/** Writes `count` bytes of `data` from byte `at` on to `offset` of a region. The range lies inside the region. */
export function writeRegion(
  index: number,
  region: ModelRegion,
  offset: number,
  count: number,
  data: DataView,
  at: number,
): void {
  const widest = widestOf(index);
  for (let done = 0; done < count;) {
    const to = offset + done;
    const from = at + done;
    if (region.write64Bytes !== undefined && to % WIDE_STORE === 0 && count - done >= WIDE_STORE) {
      region.write64Bytes(to, new Uint8Array(data.buffer, data.byteOffset + from, WIDE_STORE));
      done += WIDE_STORE;
      continue;
    }
    const width = widthAt(to, count - done, widest);
    switch (width) {
      case 8:
        if (region.write64 !== undefined) {
          region.write64(to, data.getBigUint64(from, true));
        } else {
          region.write(to, 4, data.getUint32(from, true));
          region.write(to + 4, 4, data.getUint32(from + 4, true));
        }
        break;
      case 4:
        region.write(to, 4, data.getUint32(from, true));
        break;
      case 2:
        region.write(to, 2, data.getUint16(from, true));
        break;
      case 1:
        region.write(to, 1, data.getUint8(from));
        break;
    }
    done += width;
  }
}

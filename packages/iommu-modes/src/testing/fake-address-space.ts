import { Errno } from "@vfio-selftests/core/errors";
import * as uapi from "@vfio-selftests/core/uapi";

const END = 1n << 64n;
const RANGES = [
  [0n, 0xfedf_ffffn],
  [0xfef0_0000n, 0xffff_ffff_ffffn],
] as const;

/**
 * Mappings of one I/O address space, with the kernel's answers to wrong requests. VFIO's own driver
 * (vfio_iommu_type1.c) checks an unmap before it takes anything. iommufd's (io_pagetable.c) takes mapping after mapping
 * until it fails.
 */
export class FakeAddressSpace {
  readonly maps = new Map<bigint, { length: bigint; flags: number }>();

  /** Type 1 v2: an unmap may not cut through a mapping. */
  version2: boolean;
  readonly #implementation: "vfio" | "iommufd";

  constructor(implementation: "vfio" | "iommufd", version2: boolean) {
    this.#implementation = implementation;
    this.version2 = version2;
  }

  type1Ioctl(request: number, bytes: Uint8Array): number {
    if (request === uapi.VFIO_IOMMU_MAP_DMA) {
      const { fields } = uapi.vfio_iommu_type1_dma_map;
      const view = uapi.vfio_iommu_type1_dma_map.copyOf(bytes);
      return this.#map(fields.iova.get(view), fields.size.get(view), fields.flags.get(view));
    }
    if (request === uapi.VFIO_IOMMU_UNMAP_DMA) {
      const { fields } = uapi.vfio_iommu_type1_dma_unmap;
      const view = uapi.vfio_iommu_type1_dma_unmap.copyOf(bytes);
      const all = (fields.flags.get(view) & uapi.VFIO_DMA_UNMAP_FLAG_ALL) !== 0;
      const result = all ? this.#clear() : this.#unmap(fields.iova.get(view), fields.size.get(view), -Errno.EINVAL);
      if (typeof result === "number") return result;
      new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(fields.size.offset, result, true);
      return 0;
    }
    return request === uapi.VFIO_IOMMU_GET_INFO ? getInfo(bytes) : -Errno.ENOTTY;
  }

  iommufdIoctl(request: number, bytes: Uint8Array, links: readonly (number | Uint8Array)[]): number {
    const argument = new DataView(bytes.buffer, bytes.byteOffset);
    if (request === uapi.IOMMU_IOAS_MAP) {
      const { fields } = uapi.iommu_ioas_map;
      const view = uapi.iommu_ioas_map.copyOf(bytes);
      const fixed = (fields.flags.get(view) & uapi.IOMMU_IOAS_MAP_FIXED_IOVA) !== 0;
      const iova = fixed ? fields.iova.get(view) : 0x4000_0000n;
      argument.setBigUint64(fields.iova.offset, iova, true);
      return this.#map(iova, fields.length.get(view), fields.flags.get(view));
    }
    if (request === uapi.IOMMU_IOAS_UNMAP) {
      const { fields } = uapi.iommu_ioas_unmap;
      const view = uapi.iommu_ioas_unmap.copyOf(bytes);
      const length = fields.length.get(view);
      const result = length === END - 1n ? this.#clear() : this.#unmap(fields.iova.get(view), length, -Errno.ENOENT);
      if (typeof result === "number") return result;
      if (result === 0n && length !== END - 1n) return -Errno.ENOENT;
      argument.setBigUint64(fields.length.offset, result, true);
      return 0;
    }
    if (request !== uapi.IOMMU_IOAS_IOVA_RANGES) return -Errno.ENOTTY;
    const room = argument.getUint32(8, true);
    argument.setUint32(8, RANGES.length, true);
    if (room < RANGES.length) return -Errno.EMSGSIZE;
    const array = links[1];
    if (array instanceof Uint8Array) new BigUint64Array(array.buffer).set(RANGES.flat());
    return 0;
  }

  /** IOMMU_IOAS_COPY into this one. */
  copyFrom(source: FakeAddressSpace, bytes: Uint8Array): number {
    const { fields } = uapi.iommu_ioas_copy;
    const view = uapi.iommu_ioas_copy.copyOf(bytes);
    const [from, length] = [fields.src_iova.get(view), fields.length.get(view)];
    const inside = [...source.maps].some(([start, { length: size }]) => start <= from && from + length <= start + size);
    if (!inside) return -Errno.ENOENT;
    const fixed = (fields.flags.get(view) & uapi.IOMMU_IOAS_MAP_FIXED_IOVA) !== 0;
    const iova = fixed ? fields.dst_iova.get(view) : 0x4000_0000n;
    new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(fields.dst_iova.offset, iova, true);
    return this.#map(iova, length, fields.flags.get(view));
  }

  #map(iova: bigint, length: bigint, flags: number): number {
    if (iova + length > END) return -Errno.EOVERFLOW;
    if (iova % 4096n !== 0n || length % 4096n !== 0n || length === 0n) return -Errno.EINVAL;
    for (const [start, { length: size }] of this.maps) {
      if (start < iova + length && iova < start + size) return -Errno.EEXIST;
    }
    this.maps.set(iova, { length, flags });
    return 0;
  }

  #unmap(iova: bigint, length: bigint, cut: number): bigint | number {
    if (iova + length > END) return -Errno.EOVERFLOW;
    const touched = [...this.maps]
      .filter(([start, { length: size }]) => start < iova + length && iova < start + size)
      .sort(([left], [right]) => (left < right ? -1 : 1));
    const isCut = (start: bigint, size: bigint) => this.version2 && (start < iova || start + size > iova + length);
    const checksFirst = this.#implementation === "vfio";
    if (checksFirst && touched.some(([start, { length: size }]) => isCut(start, size))) return cut;
    let bytes = 0n;
    for (const [start, { length: size }] of touched) {
      if (isCut(start, size)) return -Errno.ENOENT;
      if (start < iova) break;
      this.maps.delete(start);
      bytes += size;
    }
    return bytes;
  }

  #clear(): bigint {
    const bytes = [...this.maps.values()].reduce((sum, { length }) => sum + length, 0n);
    this.maps.clear();
    return bytes;
  }
}

/** VFIO_IOMMU_GET_INFO with a chain of an unknown capability, DMA_AVAIL and IOVA_RANGE. */
function getInfo(bytes: Uint8Array): number {
  const argument = new DataView(bytes.buffer, bytes.byteOffset);
  const needed = 24 + 16 + 16 + 16 + 16 * RANGES.length;
  argument.setUint32(4, uapi.VFIO_IOMMU_INFO_PGSIZES | uapi.VFIO_IOMMU_INFO_CAPS, true);
  argument.setBigUint64(8, 0x4020_1000n, true);
  argument.setUint32(0, needed, true);
  if (bytes.length < needed) return 0;
  argument.setUint32(16, 24, true);
  const header = (offset: number, id: number, next: number) => {
    argument.setUint16(offset, id, true);
    argument.setUint16(offset + 2, 1, true);
    argument.setUint32(offset + 4, next, true);
  };
  header(24, 0x7777, 40);
  header(40, uapi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 56);
  argument.setUint32(48, 65535, true);
  header(56, uapi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0);
  argument.setUint32(64, RANGES.length, true);
  // Not sorted, because the kernel does not promise an order.
  [...RANGES].reverse().forEach(([start, end], index) => {
    argument.setBigUint64(72 + 16 * index, start, true);
    argument.setBigUint64(80 + 16 * index, end, true);
  });
  return 0;
}

import {
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
  VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_UNMAP_DMA,
} from "@vfio-selftests/core/uapi";
import type { KernelFileAccess } from "@vfio-selftests/iommu-modes";
import { PAGE_SIZE } from "../memory/page-size";
import { askPlainly } from "./ask-kernel";

/** Bytes of a bitmap for 128 pages. */
export const BITMAP_BYTES = 16;
/** Offset of the bitmap's address, in VFIO_IOMMU_DIRTY_PAGES and in an unmap that asks for it (struct vfio_bitmap). */
const BITMAP_POINTER = 40;

/** The bitmap, or an address that leads to none. */
export type Bitmap = Uint8Array | bigint;

export interface DirtyRequest {
  readonly flags: number;
  readonly iova: bigint;
  readonly size: bigint;
  readonly said?: number;
  readonly pageSize?: bigint;
  readonly bitmapBytes?: bigint;
}

/** VFIO_IOMMU_DIRTY_PAGES. Returns `ok` or the errno's name. */
export function askDirtyPages(
  container: KernelFileAccess,
  { flags, iova, size, said = 48, pageSize = BigInt(PAGE_SIZE), bitmapBytes }: DirtyRequest,
  bitmap: Bitmap,
): string {
  const { bytes, address, links } = pointerTo(bitmap);
  const head = (BigInt(flags) << 32n) | BigInt(said);
  const argument = words([head, iova, size, pageSize, bitmapBytes ?? bytes, address]);
  return askPlainly(container, { VFIO_IOMMU_DIRTY_PAGES }, argument, links);
}

/**
 * VFIO_IOMMU_UNMAP_DMA that asks for the bitmap of the pages that were written, with these flags beside that. `bytes`: what the kernel
 * unmapped.
 */
export function unmapDirtyPages(
  container: KernelFileAccess,
  {
    flags = 0,
    iova,
    size,
    pageSize = BigInt(PAGE_SIZE),
  }: Pick<DirtyRequest, "iova" | "size" | "pageSize"> & { readonly flags?: number },
  bitmap: Bitmap,
): { code: string; bytes: bigint } {
  const { bytes, address, links } = pointerTo(bitmap);
  const head = (BigInt(VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | flags) << 32n) | 48n;
  const argument = words([head, iova, size, pageSize, bytes, address]);
  const code = askPlainly(container, { VFIO_IOMMU_UNMAP_DMA }, argument, links);
  return { code, bytes: new BigUint64Array(argument.buffer)[2] ?? 0n };
}

/** The numbers of the bits that are set. */
export function bits(bitmap: Uint8Array): number[] {
  return Array.from({ length: bitmap.length * 8 }, (_, bit) => bit).filter(
    (bit) => (((bitmap[bit >> 3] ?? 0) >> (bit & 7)) & 1) === 1,
  );
}

/** A structure of 64-bit words. */
export function words(values: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values).buffer);
}

/** struct vfio_bitmap's size and address, and the link that makes the address. */
function pointerTo(bitmap: Bitmap): { bytes: bigint; address: bigint; links: (number | Uint8Array)[] } {
  if (typeof bitmap === "bigint") return { bytes: BigInt(BITMAP_BYTES), address: bitmap, links: [] };
  return { bytes: BigInt(bitmap.length), address: 0n, links: [BITMAP_POINTER, bitmap] };
}

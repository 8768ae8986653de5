import type { DmaAccess } from "@vfio-selftests/core";
import type { EncodedStruct } from "./ioctl";
import type { KernelFileAccess } from "./kernel-file";

/** A kernel address space as other code may see it: its file, and its requests for code that makes them itself. */
export interface RawSpace {
  /** The space's file: the container's or iommufd's. */
  readonly file: KernelFileAccess;
  /** The mode's own request to map `length` bytes at `address` of this process. */
  mapRequest(address: bigint, iova: bigint, length: number, access: DmaAccess): EncodedStruct;
  /** The mode's own request to unmap an area. */
  unmapRequest(iova: bigint, length: bigint): EncodedStruct;
  /** What another thread needs to open devices into the space, with this descriptor of its file. */
  lend(descriptor: number): LentSpace;
}

/** An address space as plain data, for another thread of this process. `lendSpace` makes it. */
export type LentSpace =
  | { readonly api: "iommufd"; readonly descriptor: number; readonly ioas: number }
  | { readonly api: "container"; readonly descriptor: number; readonly type: 1 | 2 };

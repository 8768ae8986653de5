import type { MappedRegisters } from "./mapped-registers";

/** VFIO_DEVICE_GET_INFO. */
export interface DeviceInfo {
  readonly flags: number;
  readonly regionCount: number;
  readonly irqCount: number;
  /** VFIO_DEVICE_FLAGS_RESET: the device can be reset. */
  readonly resettable: boolean;
}

/** Part of a region, in bytes. */
export interface RegionArea {
  readonly offset: number;
  readonly size: number;
}

/** Options for the address of a mapping in the process, in bytes. */
export interface MapRegionOptions {
  /** Default: an address that suits large pages, or the kernel's choice. */
  readonly alignment?: number;
  readonly alignmentOffset?: number;
}

/** VFIO_DEVICE_GET_REGION_INFO with its capability chain. */
export interface RegionInfo {
  readonly index: number;
  readonly flags: number;
  /** Bytes; 0 when the region is not implemented. */
  readonly size: number;
  /** Offset of the region in the device's file. */
  readonly offset: bigint;
  readonly readable: boolean;
  readonly writable: boolean;
  /** VFIO_REGION_INFO_FLAG_MMAP. */
  readonly mappable: boolean;
  /** What may be mapped: the sparse-mmap capability's areas, or else the whole region. Empty if not mappable. */
  readonly mappableAreas: readonly RegionArea[];
  /** VFIO_REGION_INFO_CAP_MSIX_MAPPABLE: the MSI-X table may be mapped with the rest. */
  readonly msixMappable: boolean;
  /** VFIO_REGION_INFO_CAP_TYPE of device-specific regions. */
  readonly type?: { readonly type: number; readonly subtype: number };
}

/** VFIO_DEVICE_GET_IRQ_INFO. */
export interface IrqInfo {
  readonly index: number;
  readonly flags: number;
  readonly count: number;
  readonly eventfd: boolean;
  readonly maskable: boolean;
  readonly autoMasked: boolean;
  readonly noResize: boolean;
}

/** VFIO_DEVICE_SET_IRQS. */
export interface SetIrqs {
  readonly index: number;
  readonly action: "mask" | "unmask" | "trigger";
  readonly start: number;
  /** With data, its length is the count. `trigger` with count 0 and no data disables the index. */
  readonly count: number;
  /** eventfds (-1 de-assigns a vector), booleans, or nothing. */
  readonly data?: { readonly eventfds: readonly number[] } | { readonly bools: readonly boolean[] };
}

/** One device that a hot reset of the slot or bus would also reset. */
export interface HotResetDevice {
  readonly address: string;
  /** Modes on containers: the IOMMU group that the caller must own. */
  readonly group?: number;
  /** Mode `iommufd`: the device's id; 0 if the process owns it otherwise (by its group), -1 if it does not own it. */
  readonly deviceId?: number;
}

/** VFIO_DEVICE_GET_PCI_HOT_RESET_INFO. */
export interface HotResetInfo {
  readonly devices: readonly HotResetDevice[];
  /** Mode `iommufd` only: this process's iommufd owns every device, so the reset is allowed. */
  readonly owned?: boolean;
}

/** Further memory that a structure points to. */
export interface PayloadLink {
  /** Where the structure has the pointer (u64), in bytes from its start. */
  readonly offset: number;
  /** The memory, read and written in place. */
  readonly bytes: Uint8Array;
}

/** The stream of a device's state, in a state in which it is saved or restored. */
export interface MigrationData extends Disposable {
  /** Reads at most `into.length` bytes. Returns how many; 0: there are no more now. */
  read(into: Uint8Array): number;
  /** Writes at most `from.length` bytes, up to 1 MiB. Returns how many. */
  write(from: Uint8Array): number;
  /** Idempotent. */
  close(): void;
}

/**
 * A device in VFIO's own vocabulary. The kernel (ioctl on a file) and vfio-user (messages on a socket) implement it
 * alike, because the protocol mirrors the ioctls one to one. Every method throws {@link VfioError}.
 */
export interface VfioDevice extends Disposable {
  /** PCI address, or `vfio-user:PATH`, or `model:NAME`. */
  readonly address: string;
  readonly info: DeviceInfo;
  readonly closed: boolean;

  /** Cached after the first call. */
  regionInfo(index: number): RegionInfo;
  irqInfo(index: number): IrqInfo;
  /** Reads exactly `into.length` bytes. */
  readRegion(index: number, offset: number, into: Uint8Array): void;
  writeRegion(index: number, offset: number, from: Uint8Array): void;
  /** Maps one area of a mappable region. */
  mapRegion(index: number, area: RegionArea, options?: MapRegionOptions): MappedRegisters;
  /**
   * Throws ENOSPC, with the number of possible vectors, if the device gets fewer than asked for. It has enabled none
   * then.
   */
  setIrqs(request: SetIrqs): void;
  /** One VFIO_DEVICE_RESET. The caller handles EAGAIN. */
  reset(): void;
  /**
   * VFIO_DEVICE_FEATURE. `flags` is GET, SET or PROBE with the feature's index. Returns the payload as the kernel left
   * it. `links` is the memory that pointers in the payload lead to, as in
   * `struct vfio_device_feature_dma_logging_control`: at most 4, of 1 MiB each. A device that cannot carry pointers
   * throws ERR_NOT_SUPPORTED.
   */
  feature(flags: number, payload: Uint8Array, links?: readonly PayloadLink[]): Uint8Array;
  /**
   * The data of the migration state that the device is in. `fd`: what VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE gave
   * (`data_fd`), which the data own. A device whose data go by messages ignores it.
   */
  openMigrationData?(fd: number): MigrationData;
  /** VFIO_DEVICE_GET_PCI_HOT_RESET_INFO; absent where no kernel drives the device. */
  hotResetInfo?(): HotResetInfo;
  /**
   * VFIO_DEVICE_PCI_HOT_RESET of the device's slot or bus. `owned`: devices of all IOMMU groups that the reset affects.
   * Absent where no kernel drives the device.
   */
  hotReset?(owned: readonly VfioDevice[]): void;
  /**
   * Closes the registers from `mapRegion` and the device. Idempotent. Throws ERR_STILL_MAPPED while any of them is
   * mapped for DMA, and leaves everything as it was. Otherwise it completes all its steps, whatever a step throws.
   */
  close(): void;
}

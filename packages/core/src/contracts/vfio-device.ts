import type { MappedRegisters } from "./mapped-registers";

/** VFIO_DEVICE_GET_INFO. */
export interface DeviceInfo {
  /** VFIO_DEVICE_FLAGS_*. */
  readonly flags: number;
  /** How many region indexes there are. Not every one is a region of the device. */
  readonly regionCount: number;
  /** How many interrupt indexes there are. Not every one is an interrupt of the device. */
  readonly irqCount: number;
  /** VFIO_DEVICE_FLAGS_RESET: the device can be reset. */
  readonly resettable: boolean;
}

/** Part of a region, in bytes. */
export interface RegionArea {
  /** Bytes from the start of the region. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** Options for the address of a mapping in the process, in bytes. */
export interface MapRegionOptions {
  /** Default: an address that suits large pages, or the kernel's choice. */
  readonly alignment?: number;
  /** The mapping's address modulo `alignment`. Default 0. */
  readonly alignmentOffset?: number;
}

/** VFIO_DEVICE_GET_REGION_INFO with its capability chain. */
export interface RegionInfo {
  /** VFIO's index of the region. */
  readonly index: number;
  /** VFIO_REGION_INFO_FLAG_*. */
  readonly flags: number;
  /** Bytes; 0 when the region is not implemented. */
  readonly size: number;
  /** Offset of the region in the device's file. */
  readonly offset: bigint;
  /** VFIO_REGION_INFO_FLAG_READ. */
  readonly readable: boolean;
  /** VFIO_REGION_INFO_FLAG_WRITE. */
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
  /** VFIO's index of the interrupt. */
  readonly index: number;
  /** VFIO_IRQ_INFO_*. */
  readonly flags: number;
  /** How many vectors there are; 0 if the device lacks this kind. */
  readonly count: number;
  /** VFIO_IRQ_INFO_EVENTFD: an eventfd can receive it. */
  readonly eventfd: boolean;
  /** VFIO_IRQ_INFO_MASKABLE: the kernel can mask it. */
  readonly maskable: boolean;
  /** VFIO_IRQ_INFO_AUTOMASKED: the kernel masks it when it arrives, until it is unmasked. */
  readonly autoMasked: boolean;
  /** VFIO_IRQ_INFO_NORESIZE: once vectors are enabled, no others can be added. */
  readonly noResize: boolean;
}

/** VFIO_DEVICE_SET_IRQS. */
export interface SetIrqs {
  /** VFIO's index of the interrupt. */
  readonly index: number;
  /** VFIO_IRQ_SET_ACTION_MASK, _UNMASK or _TRIGGER. */
  readonly action: "mask" | "unmask" | "trigger";
  /** The first vector. */
  readonly start: number;
  /** With data, its length is the count. `trigger` with count 0 and no data disables the index. */
  readonly count: number;
  /** eventfds (-1 de-assigns a vector), booleans, or nothing. */
  readonly data?: { readonly eventfds: readonly number[] } | { readonly bools: readonly boolean[] };
}

/** One device that a hot reset of the slot or bus would also reset. */
export interface HotResetDevice {
  /** PCI address, `0000:6a:01.0`. */
  readonly address: string;
  /** Modes on containers: the IOMMU group that the caller must own. */
  readonly group?: number;
  /** Mode `iommufd`: the device's id; 0 if the process owns it otherwise (by its group), -1 if it does not own it. */
  readonly deviceId?: number;
}

/** VFIO_DEVICE_GET_PCI_HOT_RESET_INFO. */
export interface HotResetInfo {
  /** Every device that the reset affects, this one included. */
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
  /** VFIO_DEVICE_GET_INFO, asked once. */
  readonly info: DeviceInfo;
  /** Whether {@link close} has been called. */
  readonly closed: boolean;

  /** Cached after the first call. */
  regionInfo(index: number): RegionInfo;
  /** Cached after the first call. */
  irqInfo(index: number): IrqInfo;
  /** Reads exactly `into.length` bytes. */
  readRegion(index: number, offset: number, into: Uint8Array): void;
  /** Writes exactly `from.length` bytes. */
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

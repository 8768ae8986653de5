import type { RegionArea } from "@vfio-selftests/core";

/**
 * A device in software, as {@link ServedDevice} serves it. Everything runs on one thread, the server's:
 *
 * - A client's access calls the region's `read` and `write`. They answer at once, from the model's registers, and never
 *   use DMA. What takes time they only note down.
 * - {@link DeviceModel.step} does the work itself, a slice at a time. The server calls it after every message and
 *   again while it says that there is more to do, and looks for messages in between. So a register read, an abort or a
 *   reset is answered during a copy of any length.
 * - Only `step` uses {@link DeviceHost.dma}. An access to memory that the client did not share by descriptor becomes a
 *   message to the client; until its answer comes the server goes on serving requests. Therefore region callbacks and
 *   `reset` can be called while `step` is inside `dma.read`, `dma.write` or `dma.publish`. When that happened to be a
 *   reset, or the client vanished, the DMA call gives a fault with reason `aborted`: `step` then returns without
 *   touching anything else.
 *
 * A callback that throws is a defect of the model: the client gets EIO (for `step`: the model is left alone until the
 * next message) and the server's `onModelError` is told.
 */
export interface DeviceModel {
  /** Short, for messages: `ioat`. */
  readonly name: string;
  /** By VFIO region index; see {@link PciRegion}. An index that is missing has size 0. */
  readonly regions: ReadonlyMap<number, ModelRegion>;
  /** By VFIO interrupt index (INTx, MSI, MSI-X, error, request); an index that is missing has count 0. */
  readonly irqs: ReadonlyMap<number, ModelIrq>;
  /** Called once, before anything else. */
  attach(host: DeviceHost): void;
  /** VFIO_USER_DEVICE_RESET: what a function level reset does. Work under way is dropped. */
  reset(): void;
  /**
   * Does a slice of the work that is waiting, at most about 100 us (some 512 KiB of copying). True when there is more to
   * do at once; false puts the server to sleep until the next message.
   */
  step(): boolean;
  /**
   * The client has gone: its memory is unmapped and its interrupts are disconnected. The protocol wants the device's
   * state to be retained for the next client; a model may stop its DMA here.
   */
  clientGone?(): void;
  /** The server has ended: free what the model holds (region memory). */
  close?(): void;
}

/** VFIO's region indexes of a PCI device (linux/vfio.h). BAR n is index n. */
export const PciRegion = { bar0: 0, bar2: 2, bar4: 4, rom: 6, config: 7, vga: 8 } as const;

/** VFIO's interrupt indexes of a PCI device (linux/vfio.h). */
export const PciIrq = { intx: 0, msi: 1, msix: 2, error: 3, request: 4 } as const;

/**
 * One region. The server checks ranges and permissions and splits every access into naturally aligned ones of 8 bytes
 * and less (4 and less in config space), in ascending order, as vfio-pci does. Values are little endian and unsigned.
 */
export interface ModelRegion {
  /** Bytes. */
  readonly size: number;
  /** Default: read-write. */
  readonly access?: "read" | "write" | "read-write";
  /** `offset` is a multiple of `width`. */
  read(offset: number, width: 1 | 2 | 4): number;
  write(offset: number, width: 1 | 2 | 4, value: number): void;
  /** 8 bytes at a multiple of 8. When missing: two accesses of 4 bytes, the low half first. */
  read64?(offset: number): bigint;
  write64?(offset: number, value: bigint): void;
  /**
   * One store of 64 bytes at a multiple of 64 (MOVDIR64B, ENQCMD). When missing: eight stores of 8 bytes. `data` is the
   * server's buffer and only valid during the call.
   */
  write64Bytes?(offset: number, data: Uint8Array): void;
  /** For a region that clients may map: the file (memfd) that holds it, mapped by the model as well, and what of it may be mapped. */
  readonly memory?: ModelRegionMemory;
}

export interface ModelRegionMemory {
  /** Stays the model's: the server passes duplicates on. Byte n of the region is byte n of the file. */
  readonly fd: number;
  /** Multiples of the page size, sorted, disjoint. Accesses elsewhere arrive as messages. */
  readonly areas: readonly RegionArea[];
}

/** One interrupt index. */
export interface ModelIrq {
  /** Vectors. */
  readonly count: number;
  /** VFIO_IRQ_INFO_MASKABLE: clients may mask a vector; it is then held back until unmasked. Default false. */
  readonly maskable?: boolean;
  /** VFIO_IRQ_INFO_AUTOMASKED: a vector masks itself when raised (INTx). Default false. */
  readonly autoMasked?: boolean;
  /** VFIO_IRQ_INFO_NORESIZE: vectors are connected all at once. Default false. */
  readonly noResize?: boolean;
}

/** What a model may use of its server. */
export interface DeviceHost {
  readonly dma: DmaSpace;
  /**
   * Raises an interrupt. `raised`: the client was told; `pending`: the vector is masked and is raised when it is unmasked;
   * `unconnected`: the client has connected no eventfd (the interrupt is lost, as on hardware).
   */
  raiseInterrupt(index: number, vector: number): "raised" | "pending" | "unconnected";
  /** Whether the client has connected an eventfd to the vector. */
  interruptConnected(index: number, vector: number): boolean;
}

/** Why an access by the device did not happen. Nothing at or after `iova` was transferred. */
export interface DmaFault {
  /** The first address that could not be reached. */
  readonly iova: bigint;
  /**
   * `unmapped`: nothing is mapped there; `protection`: mapped, but not for this access; `aborted`: the device was reset or
   * the client vanished during the access; `failed`: the client answered with an error, or not within 5 seconds, or its file gave an error.
   */
  readonly reason: "unmapped" | "protection" | "aborted" | "failed";
  readonly access: "read" | "write";
}

/**
 * The client's memory as the device sees it, by I/O virtual address. Ranges may span several maps. A fault is a result,
 * not an exception; `read`, `write` and `publish` tell the client of it without waiting (over QEMU the guest's IOMMU then
 * reports it to the guest's kernel).
 */
export interface DmaSpace {
  /** Fills `into` from memory. */
  read(iova: bigint, into: Uint8Array): DmaFault | undefined;
  write(iova: bigint, from: Uint8Array): DmaFault | undefined;
  /**
   * As `write`, but the first 8 bytes are stored last and at once: a completion record whose status is among them
   * appears complete or not at all. `iova` is a multiple of 8 and `from` at least 8 bytes long.
   */
  publish(iova: bigint, from: Uint8Array): DmaFault | undefined;
  /**
   * The memory itself: a view of at most `length` bytes (at least 1) from `iova` on, shorter where a map ends; ask again
   * for the rest. `undefined` where there is none: not shared by descriptor, or a fault. Then `read` and `write` do it,
   * and tell. Valid until the next return from `step` and not across a `read`, `write` or `publish`.
   */
  view(iova: bigint, length: number, access: "read" | "write"): Uint8Array | undefined;
}

import type { RegionArea } from "@vfio-selftests/core";

/**
 * A device in software, as {@link ServedDevice} serves it. Everything runs on one thread, the server's:
 *
 * - A client's access calls the region's `read` and `write`. They answer at once, from the model's registers, and never
 *   use DMA. They only note down work that takes time.
 * - {@link DeviceModel.step} does the work itself, a slice at a time. The server calls it after every message, and
 *   again while it says that there is more to do. In between, the server looks for messages. So it answers a register
 *   read, an abort or a reset during a copy of any length.
 * - Only `step` uses {@link DeviceHost.dma}. An access to memory that the client did not share by descriptor becomes a
 *   message to the client, and the server goes on serving requests until the answer comes. Therefore region callbacks
 *   and `reset` may run while `step` is inside `dma.read`, `dma.write` or `dma.publish`. If the device is reset or the
 *   client vanishes meanwhile, the DMA call gives a fault with reason `aborted`. `step` then returns without touching
 *   anything else.
 *
 * A callback that throws is a defect of the model. The client gets EIO (for `step`: the server leaves the model alone
 * until the next message), and the server calls `onModelError`.
 */
export interface DeviceModel {
  /** Short, for messages: `ioat`. */
  readonly name: string;
  /** By VFIO region index; see {@link PciRegion}. A missing index has size 0. */
  readonly regions: ReadonlyMap<number, ModelRegion>;
  /** By VFIO interrupt index (INTx, MSI, MSI-X, error, request). A missing index has count 0. */
  readonly irqs: ReadonlyMap<number, ModelIrq>;
  /** Called once, before anything else. */
  attach(host: DeviceHost): void;
  /** VFIO_USER_DEVICE_RESET does the same as a function level reset, and drops work under way. */
  reset(): void;
  /**
   * Does a slice of the waiting work, at most about 100 us. True when there is more to do at
   * once. False puts the server to sleep until the next message.
   */
  step(): boolean;
  /**
   * The client has gone: its memory is unmapped and its interrupts are disconnected. The protocol demands that the
   * device's state stays for the next client. A model may stop its DMA here.
   */
  clientGone?(): void;
  /** The server has ended. Free what the model holds (region memory). */
  close?(): void;
  /** How the device moves to another server. Without it, it cannot, and no client can ask which pages it has written. */
  readonly migration?: ModelMigration;
}

/**
 * How a device moves (VFIO's migration, version 2). The server has the states, the stream of data with its check sums,
 * the interrupts that are still to be delivered, and the log of written pages. The model only turns its state into bytes
 * and back. No callback of this runs inside `step`, and none uses DMA.
 *
 * A stopped device gets no `step`. So a model may be stopped between any two of them, in the middle of its work: it saves
 * how far it has come, and goes on there.
 */
export interface ModelMigration {
  /** Of the bytes that `save` and `saveAhead` give. A server refuses those of another version. */
  readonly version: number;
  /**
   * A piece of state to send while the device still runs; undefined: none now. A model with much memory sends it so, and
   * again what it has changed since. `load` gets the pieces in order. Without it, all is sent by `save`. `sent` pieces
   * were given in this migration. With 0 it is a new one, whose receiver has nothing of an earlier one.
   */
  saveAhead?(sent: number): Uint8Array | undefined;
  /** The whole state of the stopped device, except for the `sent` pieces that `saveAhead` has given in this migration. */
  save(sent: number): Uint8Array;
  /**
   * Becomes the device that gave these bytes. They are whole and unaltered, from a model of the same name and version.
   * Throws if they make no sense nevertheless. Then the device is in the state ERROR until it is reset.
   */
  load(state: Uint8Array, ahead: readonly Uint8Array[]): void;
}

/** VFIO's region indexes of a PCI device (linux/vfio.h). BAR n is index n. */
export const PciRegion = { bar0: 0, bar2: 2, bar4: 4, rom: 6, config: 7, vga: 8 } as const;

/** VFIO's interrupt indexes of a PCI device (linux/vfio.h). */
export const PciIrq = { intx: 0, msi: 1, msix: 2, error: 3, request: 4 } as const;

/**
 * One region. The server checks ranges and permissions. It splits every access into naturally aligned ones of 8 bytes
 * and less (4 and less in config space), in ascending order, as vfio-pci does. Values are little endian and unsigned.
 */
export interface ModelRegion {
  /** Bytes. */
  readonly size: number;
  /** Default: read-write. */
  readonly access?: "read" | "write" | "read-write";
  /** `offset` is a multiple of `width`. */
  read(offset: number, width: 1 | 2 | 4): number;
  /** `offset` is a multiple of `width`. `value` is unsigned, and fits `width`. */
  write(offset: number, width: 1 | 2 | 4, value: number): void;
  /** 8 bytes at a multiple of 8. Without it: two accesses of 4 bytes, the low half first. */
  read64?(offset: number): bigint;
  /** 8 bytes at a multiple of 8. Without it: two accesses of 4 bytes, the low half first. */
  write64?(offset: number, value: bigint): void;
  /**
   * One store of 64 bytes at a multiple of 64 (MOVDIR64B, ENQCMD). Without it: eight stores of 8 bytes. `data` is the
   * server's buffer, valid only during the call.
   */
  write64Bytes?(offset: number, data: Uint8Array): void;
  /**
   * For a region that clients may map: the file (memfd) that holds it, which the model maps as well, and the mappable
   * areas.
   */
  readonly memory?: ModelRegionMemory;
}

/** Memory of the model that clients may map as a part of the region. */
export interface ModelRegionMemory {
  /** The model keeps it; the server passes duplicates on. Byte n of the region is byte n of the file. */
  readonly fd: number;
  /** Multiples of the page size, sorted, disjoint. Accesses elsewhere arrive as messages. */
  readonly areas: readonly RegionArea[];
}

/** One interrupt index. */
export interface ModelIrq {
  /** Vectors. */
  readonly count: number;
  /** VFIO_IRQ_INFO_MASKABLE: clients may mask a vector, which holds it back until they unmask it. Default false. */
  readonly maskable?: boolean;
  /** VFIO_IRQ_INFO_AUTOMASKED: a vector masks itself when raised (INTx). Default false. */
  readonly autoMasked?: boolean;
  /** VFIO_IRQ_INFO_NORESIZE: clients connect all vectors at once. Default false. */
  readonly noResize?: boolean;
}

/** What the server offers to a model. */
export interface DeviceHost {
  /** The client's memory. */
  readonly dma: DmaSpace;
  /**
   * Raises an interrupt. `raised`: the client got it. `pending`: the vector is masked, and the client gets it after the
   * unmask. `unconnected`: the client has connected no eventfd, and the interrupt is lost, as on hardware.
   */
  raiseInterrupt(index: number, vector: number): "raised" | "pending" | "unconnected";
  /** Whether the client has connected an eventfd to the vector. */
  interruptConnected(index: number, vector: number): boolean;
}

/** Why an access by the device failed. Nothing at or after `iova` was transferred. */
export interface DmaFault {
  /** The first address that the device could not reach. */
  readonly iova: bigint;
  /**
   * `unmapped`: nothing is mapped there. `protection`: mapped, but not for this access. `aborted`: the device was
   * reset, or the client vanished, during the access. `failed`: the client answered with an error or not within 5
   * seconds, or its file gave an error.
   */
  readonly reason: "unmapped" | "protection" | "aborted" | "failed";
  /** What the device wanted to do. */
  readonly access: "read" | "write";
}

/**
 * The client's memory as the device sees it, by I/O virtual address. Ranges may span several maps. A fault is a result,
 * not an exception. `read`, `write` and `publish` tell the client of it without waiting (over QEMU, the guest's IOMMU
 * then reports it to the guest's kernel).
 */
export interface DmaSpace {
  /** Fills `into` from memory. */
  read(iova: bigint, into: Uint8Array): DmaFault | undefined;
  /** Writes all of `from` to memory. */
  write(iova: bigint, from: Uint8Array): DmaFault | undefined;
  /**
   * As `write`, but stores the first 8 bytes last and at once: a completion record with its status among them appears
   * complete or not at all. `iova` is a multiple of 8, and `from` has at least 8 bytes.
   */
  publish(iova: bigint, from: Uint8Array): DmaFault | undefined;
  /**
   * The memory itself: a view of at most `length` bytes (at least 1) from `iova` on, shorter where a map ends. Ask
   * again for the rest. `undefined` where the server has not mapped the memory, or the access is a fault. Then use
   * `read` and `write`, which report the fault. Valid until the next return from `step`, and not across a `read`,
   * `write` or `publish`.
   */
  view(iova: bigint, length: number, access: "read" | "write"): Uint8Array | undefined;
}

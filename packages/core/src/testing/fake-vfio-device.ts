import { native } from "@vfio-selftests/native";
import type { DeviceInfo, IrqInfo, RegionArea, RegionInfo, SetIrqs, VfioDevice } from "../contracts/vfio-device";
import { argumentError, closedError, systemError } from "../errors/vfio-error";
import { IoMapping } from "../memory/io-mapping";
import {
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS,
} from "../uapi/vfio-numbers";
import { FakeInterrupts } from "./fake-interrupts";

/** MAP_SHARED of mmap(2). */
const MAP_SHARED = 1;
const PROT_READ = 1;
const PROT_WRITE = 2;

/** One region of a fake device; what is left out is as for an ordinary memory BAR. */
export interface FakeRegion {
  readonly size: number;
  readonly readable?: boolean;
  readonly writable?: boolean;
  /** Default: the whole region can be mapped. Empty: it cannot. */
  readonly mappableAreas?: readonly RegionArea[];
}

export interface FakeVfioDeviceOptions {
  readonly address?: string;
  /** By region index; missing ones have size 0. */
  readonly regions?: Readonly<Record<number, FakeRegion>>;
  /** Content of configuration space; its length is the region's size. Default: 4096 zero bytes. */
  readonly config?: Uint8Array;
  /** By interrupt index. */
  readonly irqs?: Readonly<Record<number, Partial<Omit<IrqInfo, "index">>>>;
  /** Default true. */
  readonly resettable?: boolean;
  /** Called for every access by `readRegion` and `writeRegion`, before it takes place. */
  readonly onAccess?: (access: { kind: "read" | "write"; index: number; offset: number; length: number }) => void;
  /** Called by `reset`. */
  readonly onReset?: () => void;
}

/**
 * A device in memory, for tests: its regions are memfds (so mappings and reads through the device see the same bytes),
 * its interrupts follow the rules of vfio-pci. Nothing happens by itself: there is no device behind it.
 */
export class FakeVfioDevice implements VfioDevice {
  readonly address: string;
  readonly info: DeviceInfo;
  readonly interrupts: FakeInterrupts;
  readonly #options: FakeVfioDeviceOptions;
  readonly #regions = new Map<number, { info: RegionInfo; fd: number }>();
  #closed = false;

  constructor(options: FakeVfioDeviceOptions = {}) {
    this.#options = options;
    this.address = options.address ?? "0000:00:00.0";
    const resettable = options.resettable ?? true;
    this.info = {
      flags: VFIO_DEVICE_FLAGS_PCI | (resettable ? VFIO_DEVICE_FLAGS_RESET : 0),
      regionCount: VFIO_PCI_NUM_REGIONS,
      irqCount: VFIO_PCI_NUM_IRQS,
      resettable,
    };
    this.interrupts = new FakeInterrupts(this.address, options.irqs ?? {});
    const config = options.config ?? new Uint8Array(4096);
    const regions: Record<number, FakeRegion> = {
      ...options.regions,
      [VFIO_PCI_CONFIG_REGION_INDEX]: { size: config.length, mappableAreas: [] },
    };
    for (let index = 0; index < VFIO_PCI_NUM_REGIONS; index++) {
      this.#regions.set(index, fakeRegion(index, regions[index] ?? { size: 0 }));
    }
    this.poke(VFIO_PCI_CONFIG_REGION_INDEX, 0, config);
  }

  get closed(): boolean {
    return this.#closed;
  }

  regionInfo(index: number): RegionInfo {
    return this.#region("VFIO_DEVICE_GET_REGION_INFO", index).info;
  }

  irqInfo(index: number): IrqInfo {
    this.#checkOpen("VFIO_DEVICE_GET_IRQ_INFO");
    return this.interrupts.info(index);
  }

  readRegion(index: number, offset: number, into: Uint8Array): void {
    const { info, fd } = this.#region("pread", index);
    this.#options.onAccess?.({ kind: "read", index, offset, length: into.length });
    this.#checkExtent("pread", info, offset, into.length);
    check(native.pread(fd, into, offset), "pread", this.address);
  }

  writeRegion(index: number, offset: number, from: Uint8Array): void {
    const { info } = this.#region("pwrite", index);
    this.#options.onAccess?.({ kind: "write", index, offset, length: from.length });
    this.#checkExtent("pwrite", info, offset, from.length);
    this.poke(index, offset, from);
  }

  mapRegion(
    index: number,
    area: RegionArea,
    options: { alignment?: number; alignmentOffset?: number } = {},
  ): IoMapping {
    const { info, fd } = this.#region("mmap", index);
    if (!info.mappableAreas.some((one) => one.offset === area.offset && one.size === area.size)) {
      throw systemError(-22, "mmap", { subject: `${this.address} region ${index}` });
    }
    const io = native.mapIo({
      fd,
      length: Math.ceil(area.size / native.pageSize()) * native.pageSize(),
      prot: (info.readable ? PROT_READ : 0) | (info.writable ? PROT_WRITE : 0),
      flags: MAP_SHARED,
      offset: BigInt(area.offset),
      ...options,
    });
    if (typeof io === "number") throw systemError(io, "mmap", { subject: `${this.address} region ${index}` });
    return new IoMapping(io, `${this.address} region ${index}`);
  }

  setIrqs(request: SetIrqs): void {
    this.#checkOpen("VFIO_DEVICE_SET_IRQS");
    this.interrupts.set(request);
  }

  reset(): void {
    this.#checkOpen("VFIO_DEVICE_RESET");
    this.#options.onReset?.();
  }

  feature(): Uint8Array {
    this.#checkOpen("VFIO_DEVICE_FEATURE");
    throw systemError(-25, "VFIO_DEVICE_FEATURE", { subject: this.address });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.interrupts.close();
    for (const { fd } of this.#regions.values()) if (fd >= 0) native.close(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Changes a region as the device would, without `onAccess`. */
  poke(index: number, offset: number, bytes: Uint8Array): void {
    const { fd } = this.#region("pwrite", index);
    if (fd >= 0) check(native.pwrite(fd, bytes, offset), "pwrite", this.address);
  }

  /** Reads a region as the device would, without `onAccess`. */
  peek(index: number, offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    check(native.pread(this.#region("pread", index).fd, bytes, offset), "pread", this.address);
    return bytes;
  }

  #region(operation: string, index: number): { info: RegionInfo; fd: number } {
    this.#checkOpen(operation);
    const region = this.#regions.get(index);
    if (region === undefined) throw argumentError(operation, "index", index, `0 to ${VFIO_PCI_NUM_REGIONS - 1}`);
    return region;
  }

  #checkExtent(operation: string, info: RegionInfo, offset: number, length: number): void {
    if (offset < 0 || offset + length > info.size) {
      throw systemError(-22, operation, { subject: `${this.address} region ${info.index}` });
    }
  }

  #checkOpen(operation: string): void {
    if (this.#closed) throw closedError(operation, this.address);
  }
}

function fakeRegion(index: number, region: FakeRegion): { info: RegionInfo; fd: number } {
  const { size, readable = true, writable = true } = region;
  const mappableAreas = size === 0 ? [] : (region.mappableAreas ?? [{ offset: 0, size }]);
  const info: RegionInfo = {
    index,
    flags: (readable ? 1 : 0) | (writable ? 2 : 0) | (mappableAreas.length > 0 ? 4 : 0),
    size,
    offset: BigInt(index) << 40n,
    readable,
    writable,
    mappable: mappableAreas.length > 0,
    mappableAreas,
    msixMappable: false,
  };
  if (size === 0) return { info, fd: -1 };
  const fd = check(native.memfdCreate("fake-region", 0), "memfd_create", `region ${index}`);
  check(native.ftruncate(fd, Math.ceil(size / native.pageSize()) * native.pageSize()), "ftruncate", `region ${index}`);
  return { info, fd };
}

function check(result: number, operation: string, subject: string): number {
  if (result < 0) throw systemError(result, operation, { subject });
  return result;
}

import { native } from "@vfio-selftests/native";
import { DeviceBooks } from "../backend/device-books";
import type {
  DeviceInfo,
  IrqInfo,
  MapRegionOptions,
  PayloadLink,
  RegionArea,
  RegionInfo,
  SetIrqs,
  VfioDevice,
} from "../contracts/vfio-device";
import { systemError } from "../errors/vfio-error";
import type { IoMapping } from "../memory/io-mapping";
import { OwnedDescriptor } from "../ownership/owned-descriptor";
import {
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS,
} from "../uapi/vfio-numbers";
import { FakeInterrupts } from "./fake-interrupts";

/** One region of a fake device. Missing fields are those of an ordinary memory BAR. */
export interface FakeRegion {
  /** Bytes. */
  readonly size: number;
  /** Default true. */
  readonly readable?: boolean;
  /** Default true. */
  readonly writable?: boolean;
  /** Default: the whole region. Empty: nothing can be mapped. */
  readonly mappableAreas?: readonly RegionArea[];
}

/** What the fake device has. Every part has a default. */
export interface FakeVfioDeviceOptions {
  /** PCI address. Default `0000:00:00.0`. */
  readonly address?: string;
  /** By region index. Missing ones have size 0. */
  readonly regions?: Readonly<Record<number, FakeRegion>>;
  /** Content of configuration space, whose length is the region's size. Default: 4096 zero bytes. */
  readonly config?: Uint8Array;
  /** By interrupt index. */
  readonly irqs?: Readonly<Record<number, Partial<Omit<IrqInfo, "index">>>>;
  /** Default true. */
  readonly resettable?: boolean;
  /** Called before every access by `readRegion` and `writeRegion`. */
  readonly onAccess?: (access: { kind: "read" | "write"; index: number; offset: number; length: number }) => void;
  /** Answers `feature`, and may write to its arguments. Absent: the device has no features (ENOTTY). */
  readonly onFeature?: (flags: number, payload: Uint8Array, links: readonly PayloadLink[]) => Uint8Array;
  /** Called by `reset`. */
  readonly onReset?: () => void;
}

/**
 * A device in memory, for tests. Its regions are memfds, so mappings and reads through the device see the same bytes.
 * Its interrupts follow the rules of vfio-pci. Nothing happens by itself, because there is no device behind it.
 */
export class FakeVfioDevice implements VfioDevice {
  readonly address: string;
  readonly info: DeviceInfo;
  /** Its interrupts, to raise them and to see what was asked of them. */
  readonly interrupts: FakeInterrupts;
  readonly #options: FakeVfioDeviceOptions;
  readonly #regions: readonly FakeRegionFile[];
  readonly #books: DeviceBooks<FakeRegionFile>;

  /** Allocates the regions' memory. */
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
    this.#regions = Array.from({ length: VFIO_PCI_NUM_REGIONS }, (_, index) =>
      fakeRegion(index, regions[index] ?? { size: 0 }),
    );
    this.#books = new DeviceBooks(this.address, this.info, {
      region: (index) => this.#regions[index] as FakeRegionFile,
      irq: (index) => this.interrupts.info(index),
    });
    this.poke(VFIO_PCI_CONFIG_REGION_INDEX, 0, config);
  }

  get closed(): boolean {
    return this.#books.closed;
  }

  regionInfo(index: number): RegionInfo {
    return this.#books.region("VFIO_DEVICE_GET_REGION_INFO", index).info;
  }

  irqInfo(index: number): IrqInfo {
    return this.#books.irq("VFIO_DEVICE_GET_IRQ_INFO", index);
  }

  readRegion(index: number, offset: number, into: Uint8Array): void {
    this.#books.requireOpen("pread");
    this.#options.onAccess?.({ kind: "read", index, offset, length: into.length });
    const { file } = this.#books.extent("pread", index, offset, into.length);
    check(native.pread(file.descriptor("pread"), into, offset), "pread", this.address);
  }

  writeRegion(index: number, offset: number, from: Uint8Array): void {
    this.#books.requireOpen("pwrite");
    this.#options.onAccess?.({ kind: "write", index, offset, length: from.length });
    this.#books.extent("pwrite", index, offset, from.length);
    this.poke(index, offset, from);
  }

  mapRegion(index: number, area: RegionArea, options: MapRegionOptions = {}): IoMapping {
    return this.#books.map(index, area, options, ({ file }, request) =>
      native.mapIo({
        ...request,
        fd: file.descriptor("mmap"),
        length: Math.ceil(area.size / native.pageSize()) * native.pageSize(),
        offset: BigInt(area.offset),
      }),
    );
  }

  setIrqs(request: SetIrqs): void {
    this.#books.requireOpen("VFIO_DEVICE_SET_IRQS");
    this.interrupts.set(request);
  }

  reset(): void {
    this.#books.requireOpen("VFIO_DEVICE_RESET");
    this.#options.onReset?.();
  }

  feature(flags: number, payload: Uint8Array, links: readonly PayloadLink[] = []): Uint8Array {
    this.#books.requireOpen("VFIO_DEVICE_FEATURE");
    const { onFeature } = this.#options;
    if (onFeature !== undefined) return onFeature(flags, payload, links);
    throw systemError(-25, "VFIO_DEVICE_FEATURE", { subject: this.address });
  }

  close(): void {
    this.#books.close(
      () => this.interrupts.close(),
      ...this.#regions.map(
        ({ file }) =>
          () =>
            file.close(),
      ),
    );
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Changes a region as the device would, without `onAccess`. */
  poke(index: number, offset: number, bytes: Uint8Array): void {
    const { file, info } = this.#books.region("pwrite", index);
    if (info.size > 0) check(native.pwrite(file.descriptor("pwrite"), bytes, offset), "pwrite", this.address);
  }

  /** Reads a region as the device would, without `onAccess`. */
  peek(index: number, offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const { file } = this.#books.region("pread", index);
    check(native.pread(file.descriptor("pread"), bytes, offset), "pread", this.address);
    return bytes;
  }
}

/** A region and the memory file behind it. For a region of size 0, the file is closed from the start. */
interface FakeRegionFile {
  readonly info: RegionInfo;
  readonly file: OwnedDescriptor;
}

function fakeRegion(index: number, region: FakeRegion): FakeRegionFile {
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
  const name = `region ${index}`;
  if (size === 0) return { info, file: new OwnedDescriptor(-1, name) };
  const file = new OwnedDescriptor(check(native.memfdCreate("fake-region", 0), "memfd_create", name), name);
  const pages = Math.ceil(size / native.pageSize());
  check(native.ftruncate(file.descriptor("ftruncate"), pages * native.pageSize()), "ftruncate", name);
  return { info, file };
}

function check(result: number, operation: string, subject: string): number {
  if (result < 0) throw systemError(result, operation, { subject });
  return result;
}

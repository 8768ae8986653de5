import { DmaMemory, type DmaRegion, type PciDevice } from "@vfio-selftests/core";
import type { Driver, NamedRegisters } from "@vfio-selftests/core/driver";
import type { OpenDevice } from "./open-device";
import { NO_REGISTERS, readRegister, registerLine, registersOf } from "./registers";
import { valueText } from "./value-text";

/** A name that lines of the session may use, and what `.help` says of it. */
export interface Helper {
  readonly name: string;
  readonly summary: string;
  /** Read at each use, because the device may have been opened again. */
  value(): unknown;
}

/** What a session offers on an open device. */
export class Session {
  readonly helpers: readonly Helper[];
  readonly #open: OpenDevice;
  readonly #maps: readonly NamedRegisters[];

  constructor(open: OpenDevice, drivers: readonly Driver[]) {
    this.#open = open;
    this.#maps = mapsOf(open, drivers);
    const { registers } = registersOf(this.#maps, (index) => open.device.bar(index));
    this.helpers = [
      helper("device", "the open PciDevice", () => open.device),
      helper("regs", `registers by name: regs.NAME reads, regs.NAME = value writes (${this.#count})`, () => registers),
      helper(
        "bars",
        "bars[0].read32(offset), .write32(offset, value), and so on for 8, 16 and 64 bits",
        () => open.device.bars,
      ),
      helper(
        "config",
        "configuration space: config.read16(offset), config.vendorId, and so on",
        () => open.device.config,
      ),
      helper("dma", "dma(size): memory that is mapped for the device: .iova, .bytes, .unmap()", () => this.#dma),
      helper(
        "interrupts",
        "interrupts.msix.enable(0, 1); await interrupts.msix.vector(0).wait()",
        () => open.device.interrupts,
      ),
      helper("iommu", "the address space: iommu.regions, iommu.map, iommu.iovaRanges()", () => open.iommu),
      helper("reset", "reset(): resets the function", () => () => open.device.reset()),
      helper("reopen", "reopen(): opens the device again when it went away; mapped memory stays mapped", () => () => {
        open.reopen();
      }),
    ];
  }

  /** A line for each register, with its value. */
  registerLines(): string[] {
    const { list } = registersOf(this.#maps, (index) => this.#open.device.bar(index));
    if (list.length === 0) return [NO_REGISTERS];
    return list.map((register) => {
      const value = readRegister(this.#open.device.bar(register.bar), register);
      return `${registerLine(register).padEnd(40)} ${valueText(value)}`;
    });
  }

  /** What the session is about, in two lines. */
  banner(): string[] {
    const { device, iommu, address } = this.#open;
    const id = (value: number): string => value.toString(16).padStart(4, "0");
    return [
      `${address}: ${id(device.config.vendorId)}:${id(device.config.deviceId)}, mode ${iommu.mode}`,
      `registers by name: ${this.#count}. Type .help for what is there.`,
    ];
  }

  get #count(): string {
    const count = this.#maps.reduce((sum, { registers }) => sum + Object.keys(registers).length, 0);
    return count === 0 ? "none" : String(count);
  }

  /** Memory of `size` bytes, rounded up to pages of the CPU, at an IOVA. */
  readonly #dma = (size: number): DmaBuffer => {
    const memory = DmaMemory.allocate(size, { backing: "memfd" });
    try {
      return new DmaBuffer(memory, this.#open.iommu.map(memory));
    } catch (error) {
      memory.close();
      throw error;
    }
  };
}

/** Memory that the device may read and write. */
class DmaBuffer {
  readonly iova: bigint;
  readonly bytes: Uint8Array;
  readonly #memory: DmaMemory;
  readonly #region: DmaRegion;

  constructor(memory: DmaMemory, region: DmaRegion) {
    this.#memory = memory;
    this.#region = region;
    this.iova = region.iova;
    this.bytes = new Uint8Array(memory.buffer);
  }

  /** Takes the memory from the device, and frees it. */
  unmap(): void {
    this.#region.unmap();
    this.#memory.close();
  }
}

function helper(name: string, summary: string, value: () => unknown): Helper {
  return { name, summary, value };
}

/** The register names of the driver whose ids the device has, or, of one without ids, which takes the device. */
function mapsOf({ device }: OpenDevice, drivers: readonly Driver[]): readonly NamedRegisters[] {
  return drivers.find((driver) => driver.registers !== undefined && serves(driver, device))?.registers ?? [];
}

function serves(driver: Driver, device: PciDevice): boolean {
  if (driver.ids !== undefined) return driver.ids.some(({ vendor, device: id }) => device.matches(vendor, id));
  try {
    return driver.probe?.(device) === true;
  } catch {
    // Whoever looks at a device that does not answer must get at it all the same.
    return false;
  }
}

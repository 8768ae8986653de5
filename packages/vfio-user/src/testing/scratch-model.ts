import type { DeviceHost, DeviceModel, ModelIrq, ModelRegion } from "../server/device-model";
import { PciIrq, PciRegion } from "../server/device-model";

/** Registers of the test device's BAR 0, 4 KiB. */
export const Scratch = {
  /** Any bytes: 256 of them. */
  memory: 0x000,
  memorySize: 0x100,
  /** 64-bit registers of the copy engine. */
  source: 0x100,
  destination: 0x108,
  size: 0x110,
  /** 32 bits. Write 1: copy; 2: copy, then raise MSI-X vector 0; 3: raise vector 1; 4: throw. */
  command: 0x118,
  /** 32 bits, read-only: 0 idle, 1 busy, 2 done, 3 fault. */
  status: 0x11c,
  /** 64 bits, read-only: address of the fault. */
  faultAddress: 0x120,
  /** 32 bits, read-only: resets so far; calls of write64Bytes so far. */
  resets: 0x128,
  wideStores: 0x12c,
  /** 32 bits, read-only: 1 unmapped, 2 protection, 3 aborted, 4 failed. */
  faultReason: 0x130,
  /** 64 bytes, in one store. */
  portal: 0x200,
} as const;

export const SCRATCH_IDS = { vendor: 0x1234, device: 0x5678 };
const SLICE = 256 * 1024;
const REASONS = ["unmapped", "protection", "aborted", "failed"] as const;

/** A small device for tests: scratch registers and a copy engine. */
export class ScratchModel implements DeviceModel {
  readonly name = "scratch";
  readonly irqs: ReadonlyMap<number, ModelIrq> = new Map([
    [PciIrq.intx, { count: 1, maskable: true, autoMasked: true }],
    [PciIrq.msix, { count: 40 }],
  ]);
  readonly regions: ReadonlyMap<number, ModelRegion>;
  readonly #bar = new DataView(new ArrayBuffer(4096));
  readonly #config = new DataView(new ArrayBuffer(256));
  readonly #bounce = new Uint8Array(SLICE);
  #host: DeviceHost | undefined;
  #done = 0n;
  readonly #throws: boolean;
  /** How many clients have gone. */
  clientsGone = 0;

  /** `throws`: whether command 4 throws. */
  constructor(throws = true) {
    this.#throws = throws;
    this.#config.setUint16(0, SCRATCH_IDS.vendor, true);
    this.#config.setUint16(2, SCRATCH_IDS.device, true);
    this.regions = new Map<number, ModelRegion>([
      [PciRegion.bar0, this.#bar0()],
      [PciRegion.config, this.#configSpace()],
    ]);
  }

  attach(host: DeviceHost): void {
    this.#host = host;
  }

  reset(): void {
    const resets = this.#bar.getUint32(Scratch.resets, true) + 1;
    new Uint8Array(this.#bar.buffer).fill(0);
    this.#bar.setUint32(Scratch.resets, resets, true);
    this.#done = 0n;
  }

  step(): boolean {
    if (this.#bar.getUint32(Scratch.status, true) !== 1 || this.#host === undefined) return false;
    const { dma } = this.#host;
    const size = this.#bar.getBigUint64(Scratch.size, true);
    if (this.#done < size) {
      const left = size - this.#done;
      const length = left < BigInt(SLICE) ? Number(left) : SLICE;
      const source = this.#bar.getBigUint64(Scratch.source, true) + this.#done;
      const destination = this.#bar.getBigUint64(Scratch.destination, true) + this.#done;
      const data = this.#bounce.subarray(0, length);
      const fault = dma.read(source, data) ?? dma.write(destination, data);
      if (fault?.reason === "aborted") return false;
      if (fault !== undefined) {
        this.#bar.setUint32(Scratch.status, 3, true);
        this.#bar.setBigUint64(Scratch.faultAddress, fault.iova, true);
        this.#bar.setUint32(Scratch.faultReason, REASONS.indexOf(fault.reason) + 1, true);
        return false;
      }
      this.#done += BigInt(length);
      return true;
    }
    this.#bar.setUint32(Scratch.status, 2, true);
    if (this.#bar.getUint32(Scratch.command, true) === 2) this.#host.raiseInterrupt(PciIrq.msix, 0);
    return false;
  }

  clientGone(): void {
    this.clientsGone += 1;
    // A copy under way has lost its memory.
    if (this.#bar.getUint32(Scratch.status, true) === 1) this.#bar.setUint32(Scratch.status, 0, true);
  }

  #bar0(): ModelRegion {
    const bar = this.#bar;
    return {
      size: bar.byteLength,
      read: (offset, width) =>
        width === 4 ? bar.getUint32(offset, true) : width === 2 ? bar.getUint16(offset, true) : bar.getUint8(offset),
      read64: (offset) => bar.getBigUint64(offset, true),
      write: (offset, width, value) => {
        if (offset === Scratch.command) this.#command(value);
        else if (offset >= Scratch.command && offset < Scratch.portal) return;
        else if (width === 4) bar.setUint32(offset, value, true);
        else if (width === 2) bar.setUint16(offset, value, true);
        else bar.setUint8(offset, value);
      },
      write64: (offset, value) => bar.setBigUint64(offset, value, true),
      write64Bytes: (offset, data) => {
        new Uint8Array(bar.buffer).set(data, offset);
        bar.setUint32(Scratch.wideStores, bar.getUint32(Scratch.wideStores, true) + 1, true);
      },
    };
  }

  #command(value: number): void {
    if (value === 4 && this.#throws) throw new Error("as ordered by the test");
    if (value === 3) {
      this.#host?.raiseInterrupt(PciIrq.msix, 1);
      return;
    }
    this.#bar.setUint32(Scratch.command, value, true);
    this.#bar.setUint32(Scratch.status, 1, true);
    this.#done = 0n;
  }

  #configSpace(): ModelRegion {
    const config = this.#config;
    return {
      size: config.byteLength,
      read: (offset, width) =>
        width === 4
          ? config.getUint32(offset, true)
          : width === 2
            ? config.getUint16(offset, true)
            : config.getUint8(offset),
      write: () => {
        // The region is read-only.
      },
    };
  }
}

/** For {@link ModelWorker}. */
export function createModel(options?: { throws?: boolean }): DeviceModel {
  return new ScratchModel(options?.throws);
}

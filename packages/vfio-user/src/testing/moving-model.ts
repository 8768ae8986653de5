import type { DeviceHost, DeviceModel, ModelIrq, ModelMigration, ModelRegion } from "../server/device-model";
import { PciIrq, PciRegion } from "../server/device-model";

/** Registers of the device's BAR 0. */
export const Moving = {
  /** Bytes of memory, which go ahead of the state. */
  memory: 0x000,
  memorySize: 0x100,
  /** 64 bits: where the next byte goes. */
  destination: 0x100,
  /** 32 bits: how many bytes are still to be written. Each step writes one {@link SLICE}. */
  left: 0x108,
  /** 32 bits, write: raises this MSI-X vector. */
  interrupt: 0x110,
} as const;

/** Bytes of one step. */
export const SLICE = 1024;
/** What the device writes. */
export const PATTERN = 0xa5;

/** A device that fills memory, and that can move. */
export class MovingModel implements DeviceModel {
  readonly name = "moving";
  readonly irqs: ReadonlyMap<number, ModelIrq> = new Map([[PciIrq.msix, { count: 4, maskable: true }]]);
  readonly regions: ReadonlyMap<number, ModelRegion>;
  readonly migration: ModelMigration;
  readonly #bar = new DataView(new ArrayBuffer(4096));
  #host: DeviceHost | undefined;
  /** The memory has changed since it was last sent. */
  #changed = true;
  /** Called inside each DMA-making step, before the DMA. */
  duringStep: (() => void) | undefined;
  loads = 0;

  constructor(version = 1) {
    const bar = this.#bar;
    this.regions = new Map<number, ModelRegion>([
      [
        PciRegion.bar0,
        {
          size: bar.byteLength,
          read: (offset, width) => (width === 4 ? bar.getUint32(offset, true) : bar.getUint8(offset)),
          write: (offset, width, value) => {
            if (offset === Moving.interrupt) this.#host?.raiseInterrupt(PciIrq.msix, value);
            else if (width === 4) bar.setUint32(offset, value, true);
            else bar.setUint8(offset, value);
            if (offset < Moving.memorySize) this.#changed = true;
          },
        },
      ],
    ]);
    const registers = () => new Uint8Array(bar.buffer, Moving.memorySize);
    const memory = () => new Uint8Array(bar.buffer, 0, Moving.memorySize);
    this.migration = {
      version,
      saveAhead: (sent) => {
        if (sent > 0 && !this.#changed) return undefined;
        this.#changed = false;
        return memory().slice();
      },
      save: (sent) => Uint8Array.from(sent === 0 || this.#changed ? [...memory(), ...registers()] : registers()),
      load: (state, ahead) => {
        this.loads += 1;
        for (const piece of ahead) memory().set(piece);
        if (state[0] === 0xee) throw new RangeError("as ordered by the test");
        if (state.length > registers().length) memory().set(state.subarray(0, Moving.memorySize));
        registers().set(state.subarray(state.length - registers().length));
      },
    };
  }

  /** The whole BAR. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.#bar.buffer.slice(0));
  }

  attach(host: DeviceHost): void {
    this.#host = host;
  }

  reset(): void {
    new Uint8Array(this.#bar.buffer).fill(0);
    this.#changed = true;
  }

  step(): boolean {
    const left = this.#bar.getUint32(Moving.left, true);
    if (left === 0) return false;
    this.duringStep?.();
    const at = this.#bar.getBigUint64(Moving.destination, true);
    const bytes = Math.min(left, SLICE);
    const fault = this.#host?.dma.write(at, new Uint8Array(bytes).fill(PATTERN));
    if (fault?.reason === "aborted") return false;
    this.#bar.setBigUint64(Moving.destination, at + BigInt(bytes), true);
    this.#bar.setUint32(Moving.left, fault === undefined ? left - bytes : 0, true);
    return left > bytes;
  }
}

/** For `ModelWorker`. */
export function createModel(options?: { version?: number }): DeviceModel {
  return new MovingModel(options?.version);
}

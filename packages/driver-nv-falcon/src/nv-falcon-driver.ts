import { type PciDevice, VfioError } from "@vfio-selftests/core";
import {
  BoundedWait,
  type Driver,
  type DriverInstance,
  type DriverLimits,
  Recovery,
} from "@vfio-selftests/core/driver";
import { chunkSize } from "./chunk-size";
import { Falcon } from "./falcon";
import { generationOf } from "./generations";
import { NAMED_REGISTERS } from "./named-registers";
import { ABORTS, BAR0_MINIMUM, ConfigStatus, Dmatrfcmd, Reg, TRANSFER_BYTES } from "./registers";

const NVIDIA = 0x10de;
const DISPLAY_CLASS = 0x03;

/** As upstream's. Larger copies would only be loops in this driver. */
const LIMITS: DriverLimits = {
  minMemcpySize: TRANSFER_BYTES.least,
  maxMemcpySize: TRANSFER_BYTES.most,
  maxMemcpyCount: 1,
  alignment: TRANSFER_BYTES.least,
};
const DEFAULT_TIMEOUT_MS = 1000;

/**
 * NVIDIA GPUs from Kepler to Hopper. The DMA engine of one of the GPU's small processors, a falcon, loads memory into the
 * falcon and stores it elsewhere. The falcon itself runs no code.
 */
export const nvFalconDriver: Driver = {
  name: "nv-falcon",
  // The contract asks for some. The engine works on the falcon's own memory alone.
  regionSize: 64,
  hiddenFaults: {
    kinds: ["unmapped", "read-only"],
    why:
      "a falcon's DMA engine has no register for refused accesses; a refused read shows in PCI STATUS, once, " +
      "because VFIO lets nobody clear it, and a refused write nowhere",
  },
  registers: NAMED_REGISTERS,
  probe,
  create: (device) => new NvFalconInstance(device),
};

function probe(device: PciDevice): true | string {
  const { vendorId, classCode } = device.config;
  if (vendorId !== NVIDIA || classCode >>> 16 !== DISPLAY_CLASS) return "no display controller of NVIDIA";
  const bar = device.bars[0];
  if (bar === undefined || bar.size < BAR0_MINIMUM) return `BAR 0 has ${bar?.size ?? 0} bytes`;
  const boot0 = bar.read32(Reg.PMC_BOOT_0);
  if (generationOf(boot0) !== undefined) return true;
  return `PMC_BOOT_0 is 0x${boot0.toString(16)}: neither Kepler, Maxwell, Pascal, Volta, Turing, Ampere, Ada, nor Hopper`;
}

class NvFalconInstance implements DriverInstance {
  readonly limits = LIMITS;
  readonly #device: PciDevice;
  readonly #falcon: Falcon;
  readonly #end: BoundedWait;
  readonly #recovery: Recovery;
  /** The copy's addresses as they came, and their halves (docs/architecture.md, rule 2). */
  readonly #addresses = new BigUint64Array(2);
  readonly #halves = new Uint32Array(this.#addresses.buffer);
  /** Bytes of the copy in progress. 0: none is. */
  #size = 0;
  /** First all of it is loaded, then all of it is stored. */
  #storing = false;
  /** Bytes that are through in this direction, and those of the transfer under way. */
  #offset = 0;
  #chunk = 0;
  /** Bits of PCI STATUS that were set before, and that nobody can clear. */
  #oldAborts = 0;
  /** Bits that came during the copy. */
  #aborts = 0;
  #removed = false;

  constructor(device: PciDevice) {
    this.#device = device;
    const boot0 = device.bar(0).read32(Reg.PMC_BOOT_0);
    const generation = generationOf(boot0);
    if (generation === undefined) {
      throw new VfioError(
        `${device.address}: PMC_BOOT_0 is 0x${boot0.toString(16)}, a GPU that the driver does not know`,
        {
          code: "ENODEV",
          operation: "nv-falcon create",
          subject: device.address,
        },
      );
    }
    this.#falcon = new Falcon(device, generation);
    this.#end = new BoundedWait(() => this.memcpyEnded(), {
      what: "the falcon's transfer to end",
      subject: device.address,
      state: () => this.#falcon.state(),
    });
    this.#recovery = new Recovery(() => {
      this.#falcon.bringDown();
      this.#falcon.bringUp();
    });
    this.#falcon.bringUp();
    this.#clearAborts();
  }

  memcpyStart(source: bigint, destination: bigint, size: number): void {
    this.#recovery.retry();
    this.#addresses[0] = source;
    this.#addresses[1] = destination;
    this.#size = size;
    this.#storing = false;
    this.#offset = 0;
    this.#aborts = 0;
    this.#transfer();
  }

  /** Also goes on with the copy: where a transfer has ended, the next one begins. */
  memcpyEnded(): boolean {
    while (this.#size > 0) {
      if (!this.#falcon.idle) return false;
      this.#offset += this.#chunk;
      if (this.#offset < this.#size || this.#turn()) this.#transfer();
      else this.#size = 0;
    }
    return true;
  }

  memcpyWait(options?: { timeoutMs?: number }): void {
    try {
      this.#end.wait(options?.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    } catch (error) {
      this.#size = 0;
      throw this.#recovery.after(error);
    }
    if (this.#aborts !== 0) this.#throwAborted();
  }

  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    this.#size = 0;
    try {
      this.#falcon.bringDown();
    } finally {
      this.#device.config.busMaster = false;
    }
  }

  /** Everything is loaded: goes on to store it. False if it is stored, or must not be. */
  #turn(): boolean {
    if (this.#storing) return false;
    this.#aborts = this.#newAborts();
    // What a refused load brought is not the source's.
    if (this.#aborts !== 0) return false;
    this.#storing = true;
    this.#offset = 0;
    return true;
  }

  /** Starts the next transfer. In DMEM the copy lies as it does in its block of 256 bytes at the source. */
  #transfer(): void {
    const which = this.#storing ? DESTINATION : SOURCE;
    const start = this.#halves[which] as number;
    const low = (start + this.#offset) >>> 0;
    const high = ((this.#halves[which + 1] as number) + (low < start ? 1 : 0)) >>> 0;
    const local = ((this.#halves[SOURCE] as number) & (TRANSFER_BYTES.most - 1)) + this.#offset;
    this.#chunk = chunkSize(low, local, this.#size - this.#offset);
    this.#falcon.start(high, low, local, this.#chunk, this.#storing ? Dmatrfcmd.write : 0);
  }

  #newAborts(): number {
    return this.#device.config.read16(ConfigStatus.offset) & ABORTS & ~this.#oldAborts;
  }

  /** The kernel's VFIO ignores the write; a vfio-user server takes it. */
  #clearAborts(): void {
    const { config } = this.#device;
    config.write16(ConfigStatus.offset, ABORTS);
    this.#oldAborts = config.read16(ConfigStatus.offset) & ABORTS;
  }

  #throwAborted(): never {
    const names = [
      (this.#aborts & ConfigStatus.masterAbort) !== 0 ? "received master abort" : "",
      (this.#aborts & ConfigStatus.targetAbort) !== 0 ? "received target abort" : "",
    ];
    const state = this.#falcon.state();
    this.#clearAborts();
    const { address } = this.#device;
    throw new VfioError(
      `nv-falcon memcpy failed on ${address}: a read was refused (PCI STATUS: ${names.filter(Boolean).join(", ")}); ${state}`,
      { code: "EIO", operation: "nv-falcon memcpy", subject: address },
    );
  }
}

/** Positions of the addresses' low halves. */
const SOURCE = 0;
const DESTINATION = 2;

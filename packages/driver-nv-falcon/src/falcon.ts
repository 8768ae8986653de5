import { type Bar, type PciDevice, VfioError } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import type { Generation } from "./generations";
import {
  BOOTED,
  CORE_SELECT,
  Dmactl,
  Dmatrfcmd,
  FalconReg,
  FBIF_CTL2_VALUE,
  FbifCtl,
  FbifReg,
  NEEDS_RESET,
  REFUSED_HALF,
  Reg,
  Transcfg,
} from "./registers";
import { allowFalconDma } from "./security-processor";

/** The kernel's driver allows as much. */
const BOOT_TIMEOUT_MS = 5000;
const SCRUBBING_TIMEOUT_MS = 1000;
/** A transfer takes microseconds. */
const END_TIMEOUT_MS = 50;

/** One falcon's registers and the operations on them. It knows nothing of copies. */
export class Falcon {
  readonly #device: PciDevice;
  readonly #bar: Bar;
  readonly #generation: Generation;
  readonly #base: number;
  readonly #fbif: number;
  /** Upper half and block (bits 39:8) of the last transfer's outside address. -1: the registers may hold anything. */
  #high = -1;
  #block = -1;

  constructor(device: PciDevice, generation: Generation) {
    this.#device = device;
    this.#bar = device.bar(0);
    this.#generation = generation;
    this.#base = generation.falcon.base;
    this.#fbif = generation.falcon.base + generation.falcon.fbif;
  }

  /** Makes `start` work from any state. Nothing is in progress afterwards. */
  bringUp(): void {
    this.#device.config.memoryEnable = true;
    this.#device.config.busMaster = true;
    this.#waitForBoot();
    if (this.#generation.reset === "none") {
      this.#askForDma();
    } else {
      this.bringDown();
      this.#leaveReset();
    }
    this.#configure();
  }

  /** Stops every transfer. */
  bringDown(): void {
    const { reset } = this.#generation;
    if (reset === "engine") this.#write(FalconReg.ENGINE, 1);
    else if (reset === "none") this.#letEnd();
    else this.#bar.write32(Reg.PMC_ENABLE, (this.#bar.read32(Reg.PMC_ENABLE) & ~reset) >>> 0);
  }

  /**
   * Starts a transfer between `local` in DMEM and the outside address of these halves. `size` is a power of two, and both
   * addresses are multiples of it. A register write to a device in software takes long: those of the
   * address's block are left out where the registers hold it.
   */
  start(high: number, low: number, local: number, size: number, write: number): void {
    if (high !== this.#high) {
      this.#bar.write32(Reg.DMA_ADDR_TOP_BITS, high >>> 15);
      this.#write(FalconReg.DMATRFBASE1, (high >>> 8) & 0x7f);
      this.#high = high;
    }
    const block = (((high & 0xff) << 24) | (low >>> 8)) >>> 0;
    if (block !== this.#block) {
      this.#write(FalconReg.DMATRFBASE, block);
      this.#block = block;
    }
    this.#write(FalconReg.DMATRFFBOFFS, low & 0xff);
    this.#write(FalconReg.DMATRFMOFFS, local);
    this.#write(FalconReg.DMATRFCMD, (sizeCode(size) << Dmatrfcmd.sizeShift) | write);
  }

  /** Whether the last transfer has ended. There is no telling how. */
  get idle(): boolean {
    return (this.#read(FalconReg.DMATRFCMD) & Dmatrfcmd.idle) !== 0;
  }

  /** The falcon's registers as text, for errors. */
  state(): string {
    const { name } = this.#generation.falcon;
    const values = STATE.map((register) => `${register} 0x${this.#read(FalconReg[register]).toString(16)}`);
    const fbif = `FBIF_CTL 0x${this.#bar.read32(this.#fbif + FbifReg.CTL).toString(16)}`;
    return `${this.#generation.name}'s ${name}: ${[...values, fbif].join(", ")}`;
  }

  /** A falcon that nothing resets ends its transfer by itself. If it does not, the whole GPU is reset. */
  #letEnd(): void {
    try {
      pollUntil(() => this.idle, { timeoutMs: END_TIMEOUT_MS, what: "idle", subject: this.#device.address });
    } catch (error) {
      if (!(error instanceof VfioError) || error.code !== "ETIMEDOUT" || !this.#device.info.resettable) throw error;
      this.#device.reset();
    }
  }

  #waitForBoot(): void {
    const { boot } = this.#generation;
    if (boot === undefined) return;
    this.#waitFor(boot, BOOTED[boot]);
    this.#waitFor("MEM_CLEAR", BOOTED.MEM_CLEAR);
  }

  #waitFor(register: "BOOT_COMPLETE" | "I2CS_SCRATCH" | "MEM_CLEAR", value: number): void {
    pollUntil(() => this.#bar.read32(Reg[register]) === value, {
      timeoutMs: BOOT_TIMEOUT_MS,
      what: `${register} to be 0x${value.toString(16)}`,
      subject: this.#device.address,
      state: () => `${register} 0x${this.#bar.read32(Reg[register]).toString(16)}`,
    });
  }

  /** Hopper: host software may not use OFA's falcon unless FSP allows it. */
  #askForDma(): void {
    allowFalconDma(this.#device);
    if (this.#read(FalconReg.ENGINE) >>> 16 !== REFUSED_HALF) return;
    throw new VfioError(`${this.#device.address}: the GPU's firmware does not allow DMA by OFA`, {
      code: "EOPNOTSUPP",
      operation: "nv-falcon create",
      subject: this.#device.address,
      remedy: "update the GPU's firmware",
    });
  }

  /** Lets the falcon out of reset, and waits until the hardware has cleared its memories. */
  #leaveReset(): void {
    const { reset, mayNeedReset } = this.#generation;
    if (reset === "none") return;
    if (mayNeedReset === true && this.#read(FalconReg.ANSWERS) === NEEDS_RESET) this.#write(FalconReg.ENGINE, 1);
    if (reset === "engine") this.#write(FalconReg.ENGINE, 0);
    else this.#bar.write32(Reg.PMC_ENABLE, (this.#bar.read32(Reg.PMC_ENABLE) | reset) >>> 0);
    this.#write(FalconReg.BCR_CTRL, (this.#read(FalconReg.BCR_CTRL) & ~CORE_SELECT) >>> 0);
    pollUntil(() => (this.#read(FalconReg.DMACTL) & Dmactl.scrubbing) === 0, {
      timeoutMs: SCRUBBING_TIMEOUT_MS,
      what: "DMACTL to show that scrubbing has ended",
      subject: this.#device.address,
      state: () => this.state(),
    });
  }

  /** Context 0 goes to the host's memory by physical addresses, without a context's page table. */
  #configure(): void {
    const bar = this.#bar;
    const [transcfg, ctl] = [this.#fbif + FbifReg.TRANSCFG, this.#fbif + FbifReg.CTL];
    this.#high = -1;
    this.#block = -1;
    this.#write(FalconReg.DMEMC, 0);
    bar.write32(transcfg, ((bar.read32(transcfg) & ~Transcfg.target) | Transcfg.physicalCoherentSystem) >>> 0);
    bar.write32(this.#fbif + FbifReg.CTL2, FBIF_CTL2_VALUE);
    bar.write32(ctl, (bar.read32(ctl) | FbifCtl.allowPhysical | FbifCtl.allowFullPhysical) >>> 0);
    this.#write(FalconReg.DMACTL, (this.#read(FalconReg.DMACTL) & ~Dmactl.requireContext) >>> 0);
  }

  #read(register: number): number {
    return this.#bar.read32(this.#base + register);
  }

  #write(register: number, value: number): void {
    this.#bar.write32(this.#base + register, value);
  }
}

/** What an error tells of the falcon. */
const STATE = ["DMATRFCMD", "DMACTL", "DMATRFBASE1", "DMATRFBASE", "DMATRFFBOFFS"] as const;

/** 0 for 4 bytes, 6 for 256. */
function sizeCode(size: number): number {
  return 29 - Math.clz32(size);
}

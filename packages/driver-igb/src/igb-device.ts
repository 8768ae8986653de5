import { VfioError, type Bar, type PciDevice } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import { RX_RING_BYTES, TX_RING_BYTES } from "./region-layout";
import type { Rings } from "./rings";
import * as regs from "./registers";
import { Reg } from "./registers";

/** Milliseconds each step of bringing the device up may take. */
const RESET_TIMEOUT_MS = 20;
const PHY_TIMEOUT_MS = 50;
const LINK_TIMEOUT_MS = 2000;
const QUEUE_TIMEOUT_MS = 200;
/** The shortest time between CTRL.RST and the next access (datasheet, section 4.3.1). */
const RESET_SETTLE_MS = 1;

/** Registers that tell why nothing arrives. */
const DIAGNOSTIC = ["STATUS", "CTRL", "RCTL", "TCTL", "TDH", "TDT", "RDH", "RDT", "TXDCTL", "RXDCTL"] as const;

/** The 82576's registers, and the sequences that bring it into loopback and back. */
export class IgbDevice {
  readonly #device: PciDevice;
  readonly #bar: Bar;

  constructor(device: PciDevice) {
    const bar = device.bars[0];
    if (bar === undefined || bar.size === 0) {
      throw new VfioError(`${device.address} has no BAR 0`, {
        code: "ERR_NOT_SUPPORTED",
        operation: "igb",
        subject: device.address,
      });
    }
    this.#device = device;
    this.#bar = bar;
  }

  read(offset: number): number {
    return this.#bar.read32(offset);
  }

  write(offset: number, value: number): void {
    this.#bar.write32(offset, value >>> 0);
  }

  /** Registers for an error's text. */
  state(): string {
    return DIAGNOSTIC.map((name) => `${name}=0x${this.read(Reg[name]).toString(16)}`).join(" ");
  }

  /** Resets MAC and queues, and masks all interrupts. The link is lost. */
  reset(): void {
    this.#set(Reg.CTRL, regs.Ctrl.RST);
    pause(RESET_SETTLE_MS);
    try {
      this.#until(() => (this.read(Reg.EECD) & regs.Eecd.AUTO_RD) !== 0, RESET_TIMEOUT_MS, "EECD.AUTO_RD");
    } catch (error) {
      // An emulated device has no EEPROM to read; it is ready when it has taken back the reset bit.
      if ((this.read(Reg.CTRL) & regs.Ctrl.RST) !== 0) throw error;
    }
    this.write(Reg.IMC, 0xffffffff);
  }

  /** From reset to looping frames back to itself. */
  enterLoopback(): void {
    this.#set(Reg.CTRL_EXT, regs.CtrlExt.DRV_LOAD, regs.CtrlExt.LINK_MODE_MASK);
    const { Bmcr } = regs;
    // Real hardware loops in the PHY and needs no negotiation; an emulated one raises the link only by it.
    this.#writePhy(Bmcr.register, Bmcr.AUTONEGOTIATE | Bmcr.RESTART_AUTONEGOTIATION, "ignore errors");
    this.#writePhy(Bmcr.register, Bmcr.LOOPBACK | Bmcr.SPEED_1000 | Bmcr.FULL_DUPLEX);
    const { Ctrl } = regs;
    this.#set(Reg.CTRL, Ctrl.FRCSPD | Ctrl.FRCDPX | Ctrl.SPEED_1000 | Ctrl.FD | Ctrl.SLU, Ctrl.SPEED_MASK);
    this.#until(() => (this.read(Reg.STATUS) & regs.Status.LU) !== 0, LINK_TIMEOUT_MS, "STATUS.LU (link up)");
    this.#set(Reg.GCR, 0, regs.Gcr.CMPL_TMOUT_RESEND);
  }

  /** Gives the device empty rings and starts both queues. */
  startQueues(rings: Rings): void {
    rings.reset();
    this.#ring(rings.txBase, TX_RING_BYTES, Reg.TDBAL, Reg.TDBAH, Reg.TDLEN);
    this.#ring(rings.rxBase, RX_RING_BYTES, Reg.RDBAL, Reg.RDBAH, Reg.RDLEN);
    this.write(Reg.TDH, 0);
    this.write(Reg.TDT, 0);
    this.write(Reg.RDH, 0);
    this.write(Reg.RDT, 0);
    this.write(Reg.SRRCTL, regs.SRRCTL_SPLIT_ALWAYS);
    this.write(Reg.TXDCTL, regs.QUEUE_ENABLE);
    this.write(Reg.RXDCTL, regs.QUEUE_ENABLE);
    const { Rctl, Tctl } = regs;
    this.write(Reg.RCTL, Rctl.EN | Rctl.UPE | Rctl.MPE | Rctl.LBM_MAC | Rctl.BAM | Rctl.SECRC);
    this.write(Reg.TCTL, Tctl.EN | Tctl.PSP);
    this.#untilQueues(regs.QUEUE_ENABLE, "the queues to be enabled");
  }

  /** Stops both queues and waits until the device has let go of them. */
  stopQueues(): void {
    this.write(Reg.RCTL, 0);
    this.write(Reg.TCTL, 0);
    this.write(Reg.TXDCTL, 0);
    this.write(Reg.RXDCTL, 0);
    this.#untilQueues(0, "the queues to be disabled");
  }

  /** One vector for all causes; they mask and clear themselves when it is raised. */
  startInterrupts(): void {
    this.write(Reg.GPIE, regs.Gpie.MSIX_MODE | regs.Gpie.EIAME);
    this.write(Reg.EIAC, regs.VECTOR0);
    this.write(Reg.EIAM, regs.VECTOR0);
    this.write(Reg.IVAR0, regs.IVAR0_RX0_VECTOR0);
    this.unmaskInterrupts();
  }

  maskInterrupts(): void {
    this.write(Reg.EIMC, regs.VECTOR0);
  }

  /** Drops causes that came while masked (written, not read: EICR must not be read in this mode), then unmasks. */
  unmaskInterrupts(): void {
    this.write(Reg.EICR, 0xffffffff);
    this.write(Reg.EIMS, regs.VECTOR0);
  }

  /** All descriptors up to the tail have been fetched and sent. */
  get transmitted(): boolean {
    return this.read(Reg.TDH) === this.read(Reg.TDT);
  }

  #ring(base: bigint, bytes: number, low: number, high: number, length: number): void {
    this.write(low, Number(base & 0xffffffffn));
    this.write(high, Number(base >> 32n));
    this.write(length, bytes);
  }

  #set(offset: number, bits: number, clear = 0): void {
    this.write(offset, (this.read(offset) & ~clear) | bits);
  }

  #writePhy(register: number, value: number, errors?: "ignore errors"): void {
    const { Mdic } = regs;
    this.write(Reg.MDIC, value | (register << Mdic.REGISTER_SHIFT) | Mdic.PHY_ADDRESS_1 | Mdic.OP_WRITE);
    const done = Mdic.READY | Mdic.ERROR;
    this.#until(() => (this.read(Reg.MDIC) & done) !== 0, PHY_TIMEOUT_MS, "MDIC.READY");
    if ((this.read(Reg.MDIC) & Mdic.ERROR) !== 0 && errors === undefined) {
      throw new VfioError(
        `${this.#device.address}: writing 0x${value.toString(16)} to PHY register ${register} failed`,
        {
          code: "EIO",
          operation: "igb PHY write",
          subject: this.#device.address,
        },
      );
    }
  }

  #untilQueues(wanted: number, what: string): void {
    const both = () =>
      [Reg.TXDCTL, Reg.RXDCTL].every((register) => (this.read(register) & regs.QUEUE_ENABLE) === wanted);
    this.#until(both, QUEUE_TIMEOUT_MS, what);
  }

  #until(condition: () => boolean, timeoutMs: number, what: string): void {
    pollUntil(condition, { timeoutMs, what, subject: this.#device.address, state: () => this.state() });
  }
}

/** Blocks for at least `ms` milliseconds. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

import { type Bar, type PciDevice, VfioError } from "@vfio-selftests/core";
import { pollUntil, sleepSync } from "@vfio-selftests/core/driver";
import { RX_RING_BYTES, TX_RING_BYTES } from "./region-layout";
import * as regs from "./registers";
import { Reg } from "./registers";
import type { Rings } from "./rings";

/** Milliseconds that each step of bringing the device up may take. */
const MASTER_TIMEOUT_MS = 80;
const RESET_TIMEOUT_MS = 20;
const PHY_TIMEOUT_MS = 50;
const LINK_TIMEOUT_MS = 2000;
const QUEUE_TIMEOUT_MS = 200;
/** The shortest time between CTRL.RST and the next access (datasheet, section 4.3.1). */
const RESET_SETTLE_MS = 1;

/**
 * What hardware needs before and after forcing the link. No datasheet asks for it, but the kernel's loopback tests fail
 * without it (igb_integrated_phy_loopback in igb_ethtool.c, and the selftests' igb.c, which calls it empirical).
 */
const PHY_SETTLE_MS = 50;
const LINK_SETTLE_MS = 500;

/** Registers that tell why nothing arrives. */
const DIAGNOSTIC = ["STATUS", "CTRL", "RCTL", "TCTL", "TDH", "TDT", "RDH", "RDT", "TXDCTL", "RXDCTL"] as const;

/** The 82576's registers, and the sequences that bring it into loopback and back. */
export class IgbDevice {
  readonly #device: PciDevice;
  readonly #bar: Bar;
  /** The first reset finds this out: an emulated device needs no time to settle. */
  #emulated = false;

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

  /** The device's registers as text, for errors. */
  state(): string {
    return DIAGNOSTIC.map((name) => `${name}=0x${this.read(Reg[name]).toString(16)}`).join(" ");
  }

  /**
   * Stops all DMA, resets MAC and queues, and masks all interrupts. The link is lost. The order is that of the kernel's
   * igb_reset_hw_82575: a reset under a pending request could leave the bus hanging.
   */
  reset(): void {
    this.#disableMaster();
    this.write(Reg.IMC, 0xffffffff);
    this.write(Reg.RCTL, 0);
    this.write(Reg.TCTL, regs.Tctl.PSP);
    this.#set(Reg.CTRL, regs.Ctrl.RST);
    sleepSync(RESET_SETTLE_MS);
    this.#emulated = !this.#hasReadEeprom();
    // An emulated device has no EEPROM to read. It is ready when it clears the reset bit.
    if (this.#emulated) {
      this.#until(() => (this.read(Reg.CTRL) & regs.Ctrl.RST) === 0, RESET_TIMEOUT_MS, "CTRL.RST to clear");
    }
    this.write(Reg.IMC, 0xffffffff);
  }

  /** Brings the device from reset to looping frames back to itself. */
  enterLoopback(): void {
    this.#set(Reg.CTRL_EXT, regs.CtrlExt.DRV_LOAD, regs.CtrlExt.LINK_MODE_MASK);
    const { Bmcr } = regs;
    // Real hardware loops in the PHY and needs no negotiation. An emulated device raises the link only by negotiation.
    this.#writePhy(Bmcr.register, Bmcr.AUTONEGOTIATE | Bmcr.RESTART_AUTONEGOTIATION, "ignore errors");
    this.#writePhy(Bmcr.register, Bmcr.LOOPBACK | Bmcr.SPEED_1000 | Bmcr.FULL_DUPLEX);
    this.#settle(PHY_SETTLE_MS);
    const { Ctrl } = regs;
    const forced = Ctrl.FRCSPD | Ctrl.FRCDPX | Ctrl.SPEED_1000 | Ctrl.FD | Ctrl.SLU;
    this.#set(Reg.CTRL, forced, Ctrl.SPEED_MASK);
    this.#until(() => (this.read(Reg.STATUS) & regs.Status.LU) !== 0, LINK_TIMEOUT_MS, "STATUS.LU (link up)");
    this.#settle(LINK_SETTLE_MS);
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

  /** Stops both queues and waits until the device lets go of them. */
  stopQueues(): void {
    this.write(Reg.RCTL, 0);
    this.write(Reg.TCTL, 0);
    this.write(Reg.TXDCTL, 0);
    this.write(Reg.RXDCTL, 0);
    this.#untilQueues(0, "the queues to be disabled");
  }

  /**
   * Makes received frames raise `receiveVector`. A vector of `vectors` (bits) masks itself when it fires (EIAM, with
   * EIAME on the message), and the device clears its cause (EIAC). Arm a vector before each interrupt that is wanted.
   */
  startInterrupts(receiveVector: number, vectors: number): void {
    this.write(Reg.GPIE, regs.Gpie.MSIX_MODE | regs.Gpie.EIAME);
    this.write(Reg.EIAC, vectors);
    this.write(Reg.EIAM, vectors);
    this.write(Reg.IVAR0, regs.IVAR0_RX0_VALID | receiveVector);
  }

  /**
   * Unmasks the vectors, after dropping causes that came while they were masked. It writes EICR, because EICR must not
   * be read while EIAC is set (datasheet section 8.8.5). The kernel's igb_ring_irq_enable writes EIMS after each
   * interrupt.
   */
  armInterrupts(vectors: number): void {
    this.write(Reg.EICR, vectors);
    this.write(Reg.EIMS, vectors);
  }

  maskInterrupts(vectors: number): void {
    this.write(Reg.EIMC, vectors);
  }

  /** Raises an armed vector by software, without DMA. */
  raiseInterrupt(vector: number): void {
    this.write(Reg.EICS, 1 << vector);
  }

  /** Whether the device has fetched and sent all descriptors up to the tail. */
  get transmitted(): boolean {
    return this.read(Reg.TDH) === this.read(Reg.TDT);
  }

  /**
   * Waits until the device has no pending request. A request that does not end must not prevent the reset, which is
   * then the only cure (igb_disable_pcie_master).
   */
  #disableMaster(): void {
    this.#set(Reg.CTRL, regs.Ctrl.GIO_MASTER_DISABLE);
    const stopped = () => (this.read(Reg.STATUS) & regs.Status.GIO_MASTER_ENABLE) === 0;
    this.#succeeds(stopped, MASTER_TIMEOUT_MS, "STATUS.GIO_MASTER_ENABLE to clear");
  }

  #hasReadEeprom(): boolean {
    return this.#succeeds(() => (this.read(Reg.EECD) & regs.Eecd.AUTO_RD) !== 0, RESET_TIMEOUT_MS, "EECD.AUTO_RD");
  }

  #settle(ms: number): void {
    if (!this.#emulated) sleepSync(ms);
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

  #succeeds(condition: () => boolean, timeoutMs: number, what: string): boolean {
    try {
      this.#until(condition, timeoutMs, what);
      return true;
    } catch (error) {
      if (error instanceof VfioError && error.code === "ETIMEDOUT") return false;
      throw error;
    }
  }

  #until(condition: () => boolean, timeoutMs: number, what: string): void {
    pollUntil(condition, { timeoutMs, what, subject: this.#device.address, state: () => this.state() });
  }
}

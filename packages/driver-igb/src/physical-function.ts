import { VfioError } from "@vfio-selftests/core";
import { sleepSync } from "@vfio-selftests/core/driver";
import { IgbFunction } from "./igb-function";
import { MailboxHost } from "./mailbox-host";
import * as regs from "./registers";
import { Reg } from "./registers";

/** Milliseconds that each step of bringing the device up may take. */
const MASTER_TIMEOUT_MS = 80;
const RESET_TIMEOUT_MS = 20;
const PHY_TIMEOUT_MS = 50;
const LINK_TIMEOUT_MS = 2000;
/** The shortest time between CTRL.RST and the next access (datasheet, section 4.3.1). */
const RESET_SETTLE_MS = 1;

/**
 * What hardware needs before and after forcing the link. No datasheet asks for it, but the kernel's loopback tests fail
 * without it (igb_integrated_phy_loopback in igb_ethtool.c, and the selftests' igb.c, which calls it empirical).
 */
const PHY_SETTLE_MS = 50;
const LINK_SETTLE_MS = 500;

/** The device has eight pools, one a virtual function. */
const POOLS = 8;

/**
 * The whole 82576, and the sequences that bring it into loopback and back. Where it has virtual functions, each of them
 * has a pool of queues, and the physical function takes the first pool that is left.
 */
export class PhysicalFunction extends IgbFunction {
  readonly address = [0x02, 0, 0, 0, 0, 1] as const;
  /** The first reset finds this out: an emulated device needs no time to settle. */
  #emulated = false;
  /** Serves the virtual functions' mailboxes while this function is up. */
  #host: MailboxHost | undefined;

  /** The link is lost. The order is that of the kernel's igb_reset_hw_82575: a reset under a pending request could leave the bus hanging. */
  override reset(): void {
    this.#host?.close();
    this.#host = undefined;
    this.#disableMaster();
    this.write(Reg.IMC, 0xffffffff);
    this.write(Reg.RCTL, 0);
    this.write(Reg.TCTL, regs.Tctl.PSP);
    this.set(Reg.CTRL, regs.Ctrl.RST);
    sleepSync(RESET_SETTLE_MS);
    this.#emulated = !this.#hasReadEeprom();
    // An emulated device has no EEPROM to read. It is ready when it clears the reset bit.
    if (this.#emulated) {
      this.until(() => (this.read(Reg.CTRL) & regs.Ctrl.RST) === 0, RESET_TIMEOUT_MS, "CTRL.RST to clear");
    }
    this.write(Reg.IMC, 0xffffffff);
  }

  override bringUp(): void {
    this.set(Reg.CTRL_EXT, regs.CtrlExt.DRV_LOAD, regs.CtrlExt.LINK_MODE_MASK);
    const { Bmcr } = regs;
    // Real hardware loops in the PHY and needs no negotiation. An emulated device raises the link only by negotiation.
    this.#writePhy(Bmcr.register, Bmcr.AUTONEGOTIATE | Bmcr.RESTART_AUTONEGOTIATION, "ignore errors");
    this.#writePhy(Bmcr.register, Bmcr.LOOPBACK | Bmcr.SPEED_1000 | Bmcr.FULL_DUPLEX);
    this.#settle(PHY_SETTLE_MS);
    const { Ctrl } = regs;
    const forced = Ctrl.FRCSPD | Ctrl.FRCDPX | Ctrl.SPEED_1000 | Ctrl.FD | Ctrl.SLU;
    this.set(Reg.CTRL, forced, Ctrl.SPEED_MASK);
    this.until(() => (this.read(Reg.STATUS) & regs.Status.LU) !== 0, LINK_TIMEOUT_MS, "STATUS.LU (link up)");
    this.#settle(LINK_SETTLE_MS);
    this.set(Reg.GCR, 0, regs.Gcr.CMPL_TMOUT_RESEND);
    const vfs = this.#virtualFunctions;
    this.useQueue(vfs);
    if (vfs > 0) this.#startPools(vfs);
  }

  override startInterrupts(receiveVector: number, vectors: number): void {
    // The virtual functions' messages depend on this mode, too.
    this.write(Reg.GPIE, regs.Gpie.MSIX_MODE | regs.Gpie.EIAME);
    super.startInterrupts(receiveVector, vectors);
  }

  protected override startEngines(): void {
    const { Rctl, Tctl } = regs;
    this.write(Reg.RCTL, Rctl.EN | Rctl.UPE | Rctl.MPE | Rctl.LBM_MAC | Rctl.BAM | Rctl.SECRC);
    this.write(Reg.TCTL, Tctl.EN | Tctl.PSP);
  }

  /** The virtual functions need the engines, too. */
  protected override stopEngines(): void {
    if (this.#host !== undefined) return;
    this.write(Reg.RCTL, 0);
    this.write(Reg.TCTL, 0);
  }

  /** How many the device has now. Throws where they leave no queue for this function. */
  get #virtualFunctions(): number {
    const status = this.read(Reg.STATUS);
    const { IOV_MODE, NUM_VFS_SHIFT, NUM_VFS_MASK } = regs.Status;
    const count = (status & IOV_MODE) === 0 ? 0 : (status >>> NUM_VFS_SHIFT) & NUM_VFS_MASK;
    if (count < POOLS) return count;
    throw new VfioError(`${this.device.address} has given all its queues to ${count} virtual functions`, {
      code: "ERR_NOT_SUPPORTED",
      operation: "igb",
      subject: this.device.address,
      remedy: `enable at most ${POOLS - 1} (sriov_numvfs)`,
    });
  }

  /**
   * Gives each frame to the pool with its address, and starts this function's own pool, the first behind those of the
   * virtual functions. Their pools start when they ask for it.
   */
  #startPools(own: number): void {
    this.write(Reg.MRQC, regs.MRQC_POOLS);
    this.write(Reg.VT_CTL, regs.VT_CTL_NO_DEFAULT_POOL);
    this.write(Reg.DTXSWC, regs.DTXSWC_LOOPBACK);
    this.write(Reg.VFRE, 0);
    this.write(Reg.VFTE, 0);
    this.#host = new MailboxHost(this, this.device.address, own);
    this.#host.startPool(own, this.address);
    this.set(Reg.CTRL_EXT, regs.CtrlExt.PFRSTD);
  }

  /**
   * Waits until the device has no pending request. A request that does not end must not prevent the reset, which is
   * then the only cure (igb_disable_pcie_master).
   */
  #disableMaster(): void {
    this.set(Reg.CTRL, regs.Ctrl.GIO_MASTER_DISABLE);
    const stopped = () => (this.read(Reg.STATUS) & regs.Status.GIO_MASTER_ENABLE) === 0;
    this.succeeds(stopped, MASTER_TIMEOUT_MS, "STATUS.GIO_MASTER_ENABLE to clear");
  }

  #hasReadEeprom(): boolean {
    return this.succeeds(() => (this.read(Reg.EECD) & regs.Eecd.AUTO_RD) !== 0, RESET_TIMEOUT_MS, "EECD.AUTO_RD");
  }

  #settle(ms: number): void {
    if (!this.#emulated) sleepSync(ms);
  }

  #writePhy(register: number, value: number, errors?: "ignore errors"): void {
    const { Mdic } = regs;
    this.write(Reg.MDIC, value | (register << Mdic.REGISTER_SHIFT) | Mdic.PHY_ADDRESS_1 | Mdic.OP_WRITE);
    const done = Mdic.READY | Mdic.ERROR;
    this.until(() => (this.read(Reg.MDIC) & done) !== 0, PHY_TIMEOUT_MS, "MDIC.READY");
    if ((this.read(Reg.MDIC) & Mdic.ERROR) !== 0 && errors === undefined) {
      throw new VfioError(
        `${this.device.address}: writing 0x${value.toString(16)} to PHY register ${register} failed`,
        {
          code: "EIO",
          operation: "igb PHY write",
          subject: this.device.address,
        },
      );
    }
  }
}

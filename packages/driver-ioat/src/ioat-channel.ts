import { type Bar, type PciDevice, VfioError } from "@vfio-selftests/core";
import { BoundedWait, pollUntil } from "@vfio-selftests/core/driver";
import { PciCommand } from "@vfio-selftests/core/pci";
import { FAMILIES } from "./devices";
import {
  Chancmd,
  Chanctrl,
  channelErrorNames,
  ConfigReg,
  INTRCTRL_MSIX_VECTOR_CONTROL,
  Reg,
  Status,
  STATUS_MASK,
  XFERCAP_MASK,
  XFERCAP_SMALLEST,
} from "./registers";

/** A reset takes microseconds. The kernel's driver allows 200 ms. */
const RESET_TIMEOUT_MS = 500;
const SUSPEND_TIMEOUT_MS = 500;

const COMMAND = PciCommand.memory | PciCommand.busMaster | PciCommand.interruptDisable;
const CONTROL = Chanctrl.interruptRearm | Chanctrl.anyErrorAbortEnable | Chanctrl.errorCompletionEnable;

/** The first channel's registers and the operations on them. It knows nothing of copies. */
export class IoatChannel {
  readonly device: PciDevice;
  readonly #bar: Bar;
  /** IOVA of the completion word. */
  readonly #completion: bigint;
  readonly #configErrors: boolean;
  readonly #resetLosesMsix: boolean;
  readonly #suspension: BoundedWait;

  constructor(device: PciDevice, completion: bigint) {
    this.device = device;
    this.#completion = completion;
    this.#bar = device.bar(0);
    this.#suspension = new BoundedWait(() => this.#isSuspended(), {
      what: "CHANSTS to show suspended",
      subject: device.address,
      state: () => this.state(),
    });
    const id = device.config.deviceId;
    const family = FAMILIES.find(({ devices }) => devices.includes(id));
    this.#configErrors = family?.configErrors === true && device.config.size > ConfigReg.CHANERR_INT;
    this.#resetLosesMsix = family?.resetLosesMsix ?? false;
  }

  /** Most bytes that one descriptor may move. */
  get maximumTransfer(): number {
    const xfercap = this.#bar.read8(Reg.XFERCAP) & XFERCAP_MASK;
    if (xfercap < XFERCAP_SMALLEST) {
      const message = `${this.device.address}: XFERCAP is ${xfercap}, at least ${XFERCAP_SMALLEST} expected`;
      throw new VfioError(message, { code: "EIO", operation: "ioat create", subject: this.device.address });
    }
    return 2 ** xfercap;
  }

  /** Makes `start` work from any state. Nothing is in progress afterwards. */
  bringUp(): void {
    this.device.config.command = COMMAND;
    this.#resetOrReplace();
    this.#bar.write8(Reg.INTRCTRL, INTRCTRL_MSIX_VECTOR_CONTROL);
    this.#bar.write64(Reg.CHANCMP, this.#completion);
    this.#bar.write16(Reg.CHANCTRL, CONTROL);
  }

  /** Stops everything. */
  bringDown(): void {
    this.#resetOrReplace();
  }

  /** Lets the channel raise one more interrupt. */
  rearmInterrupt(): void {
    this.#bar.write16(Reg.CHANCTRL, CONTROL);
  }

  /** Executes the descriptor at `address` and those it links to, `count` in all. */
  start(address: bigint, count: number): void {
    this.#bar.write64(Reg.CHAINADDR, address);
    this.#bar.write16(Reg.DMACOUNT, count);
  }

  get status(): number {
    return this.#bar.read32(Reg.CHANSTS) & STATUS_MASK;
  }

  /**
   * Makes the channel leave memory alone, and replaces a left-over `done` in its status before the next copy starts.
   */
  suspend(): void {
    this.#bar.write8(Reg.CHANCMD, Chancmd.suspend);
    this.#suspension.wait(SUSPEND_TIMEOUT_MS);
  }

  /** The channel's registers as text, for errors. */
  state(): string {
    const bar = this.#bar;
    const values: [string, number | bigint][] = [
      ["CHANSTS", bar.read64(Reg.CHANSTS)],
      ["CHANERR", this.errors],
      ["CHANCMD", bar.read8(Reg.CHANCMD)],
      ["DMACOUNT", bar.read16(Reg.DMACOUNT)],
      ["CHAINADDR", bar.read64(Reg.CHAINADDR)],
    ];
    if (this.#configErrors) {
      const { config } = this.device;
      values.push(["CHANERR_INT", config.read32(ConfigReg.CHANERR_INT)]);
      values.push(["DMAUNCERRSTS", config.read32(ConfigReg.DMAUNCERRSTS)]);
    }
    const names = channelErrorNames(this.errors);
    const cause = names === "" ? "no error" : `${names} error`;
    return `${cause}: ${values.map(([name, value]) => `${name} 0x${value.toString(16)}`).join(", ")}`;
  }

  get errors(): number {
    return this.#bar.read32(Reg.CHANERR);
  }

  #isSuspended(): boolean {
    const { status } = this;
    return status === Status.suspended || status === Status.halted;
  }

  /** Resets the channel or, where it does not react, the whole function. */
  #resetOrReplace(): void {
    try {
      this.#resetChannel();
    } catch (error) {
      if (!(error instanceof VfioError) || error.code !== "ETIMEDOUT" || !this.device.info.resettable) throw error;
      this.device.reset();
      this.device.config.command = COMMAND;
      this.#resetChannel();
      this.#restoreMsix();
    }
  }

  #resetChannel(): void {
    this.#clearErrors();
    this.#bar.write8(Reg.CHANCMD, Chancmd.reset);
    pollUntil(() => (this.#bar.read8(Reg.CHANCMD) & Chancmd.reset) === 0 && this.status === Status.halted, {
      timeoutMs: RESET_TIMEOUT_MS,
      what: "the channel reset to end",
      subject: this.device.address,
      state: () => this.state(),
    });
    if (this.#resetLosesMsix) this.#restoreMsix();
  }

  /** Errors survive a reset and keep the channel halted. Writing back a register's value clears it. */
  #clearErrors(): void {
    if (this.#configErrors) {
      const { config } = this.device;
      for (const register of [ConfigReg.CHANERR_INT, ConfigReg.DMAUNCERRSTS]) {
        config.write32(register, config.read32(register));
      }
    }
    this.#bar.write32(Reg.CHANERR, this.errors);
  }

  #restoreMsix(): void {
    const { msix } = this.device.interrupts;
    if (msix.enabled) msix.reenable();
  }
}

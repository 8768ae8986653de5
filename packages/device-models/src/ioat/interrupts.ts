import { type DeviceHost, PciIrq } from "@vfio-selftests/vfio-user";
import { Command, Status } from "../config-space/index";
import type { StateReader, StateWriter } from "../migration/state-bytes";
import { type Bar0, Chanctrl, Intrctrl, Intrdelay } from "./registers/bar0";
import type { Config } from "./registers/config-space";

const CHANNEL_ATTENTION = 0x1;

/**
 * The way of an interrupt. It passes the channel's own switch (CHANCTRL), then either the channel's MSI-X vector or the
 * shared line of ATTNSTATUS and INTRCTRL, then the delay of INTRDELAY. The server masks vectors.
 */
export class Interrupts {
  #host: DeviceHost | undefined;
  #lineUp = false;
  /** When the delayed interrupt is due, in milliseconds of `now`. */
  #due: number | undefined;

  readonly #bar0: Bar0;
  readonly #config: Config;
  readonly #now: () => number;

  constructor(bar0: Bar0, config: Config, now: () => number) {
    this.#bar0 = bar0;
    this.#config = config;
    this.#now = now;
  }

  attach(host: DeviceHost): void {
    this.#host = host;
  }

  /** Raises the channel's interrupt. After it, the channel is silent until software re-arms it in CHANCTRL. */
  raise(): void {
    const { CHANCTRL, INTRCTRL, ATTNSTATUS } = this.#bar0.registers;
    if ((CHANCTRL.value & Chanctrl.interruptDisable) !== 0) return;
    CHANCTRL.value |= Chanctrl.interruptDisable;
    if ((INTRCTRL.value & Intrctrl.msixVectorControl) !== 0) {
      this.#schedule();
    } else {
      ATTNSTATUS.value |= CHANNEL_ATTENTION;
      this.updateLine();
    }
  }

  /** Updates the status bits of INTRCTRL and config space, and the shared line. A rising line interrupts. */
  updateLine(): void {
    const { INTRCTRL, ATTNSTATUS } = this.#bar0.registers;
    const { STATUS } = this.#config.registers;
    const attention = ATTNSTATUS.value !== 0;
    const up = attention && (INTRCTRL.value & Intrctrl.masterEnable) !== 0;
    const enables = INTRCTRL.value & (Intrctrl.masterEnable | Intrctrl.msixVectorControl);
    INTRCTRL.value = enables | (attention ? Intrctrl.status : 0) | (up ? Intrctrl.interrupt : 0);
    STATUS.value = up ? STATUS.value | Status.interruptStatus : STATUS.value & ~Status.interruptStatus;
    if (up && !this.#lineUp) this.#schedule();
    this.#lineUp = up;
  }

  /** Software has read INTRCTRL, which clears the master enable. */
  controlRead(): void {
    this.#bar0.registers.INTRCTRL.value &= ~Intrctrl.masterEnable;
    this.updateLine();
  }

  /** Sends a delayed interrupt that is due. True while one is waiting. */
  poll(): boolean {
    if (this.#due === undefined) return false;
    if (this.#now() < this.#due) return true;
    this.#due = undefined;
    this.#send();
    return false;
  }

  save(state: StateWriter): void {
    const left = this.#due === undefined ? 0 : Math.max(0, Math.ceil((this.#due - this.#now()) * 1000));
    state
      .flag(this.#lineUp)
      .flag(this.#due !== undefined)
      .u32(left);
  }

  /** A delayed interrupt waits for as long as it would have waited there. */
  load(state: StateReader): void {
    this.#lineUp = state.flag();
    const waits = state.flag();
    const microseconds = state.u32(Intrdelay.microseconds);
    this.#due = waits ? this.#now() + microseconds / 1000 : undefined;
  }

  reset(): void {
    this.#due = undefined;
    this.#lineUp = false;
    this.#config.registers.STATUS.value &= ~Status.interruptStatus;
  }

  #schedule(): void {
    const microseconds = this.#bar0.registers.INTRDELAY.value & Intrdelay.microseconds;
    if (microseconds === 0) this.#send();
    else this.#due ??= this.#now() + microseconds / 1000;
  }

  #send(): void {
    const host = this.#host;
    if (host === undefined) return;
    if (host.interruptConnected(PciIrq.msix, 0)) {
      host.raiseInterrupt(PciIrq.msix, 0);
    } else if ((this.#config.registers.COMMAND.value & Command.interruptDisable) === 0) {
      host.raiseInterrupt(PciIrq.intx, 0);
    }
  }
}

import type { RegistersOf } from "../registers/index";
import { Command, DSA, commandCapabilities, type DsaOptions } from "./capabilities";
import { CMDSTATUS_ACTIVE, DeviceState, ResetType, type DsaRegisters } from "./registers";
import { CommandError } from "./status-codes";
import type { Submission } from "./submission";

const OPERAND = 0xf_ffff;
const RESERVED = 0x7e00_0000;
const REQUEST_INTERRUPT = 0x8000_0000;

/** Request and Release Interrupt Handle: the entry of the IMS instead of the MSI-X table. */
const OPERAND_IMS = 0x1_0000;

/** What was written to the Command register. */
interface ActiveCommand {
  readonly code: number;
  readonly operand: number;
  /** A reserved bit was set. */
  readonly reserved: boolean;
  readonly interrupt: boolean;
}

/** How a command ended: an error code, and a result for those that have one. */
interface CommandResult {
  readonly error: number;
  readonly result?: number;
}

/** What commands do to the device. Work queues are named by a bit mask. */
export interface CommandTarget {
  /** The error code of the checks, or 0 when it was done. */
  enableDevice(): number;
  enableWorkQueue(index: number): number;
  enabledWorkQueues(): number;
  /** Stops acceptance of descriptors; work goes on. */
  closeWorkQueues(mask: number): void;
  disableWorkQueues(mask: number): void;
  /** Also disables; the configuration returns to its initial values, but for the size. */
  resetWorkQueues(mask: number): void;
  setDeviceState(state: number): void;
  /** Clears the configuration (table 9-3, Software Reset). */
  resetDevice(): void;
  /** Whether descriptors that match are waiting or worked on. */
  holds(matches: (submission: Submission) => boolean): boolean;
  abandon(doomed: (submission: Submission) => boolean): void;
  requestInterruptHandle(vector: number): number | undefined;
  releaseInterruptHandle(vector: number): boolean;
  commandCompleted(): void;
  /** The Command register was written while a command was active. */
  commandWhileActive(): void;
}

const ALL_WORK_QUEUES = 2 ** DSA.workQueues - 1;

/** The Command register's side of the device (sections 3.15 and 9.2.12). Commands complete in `progress` only. */
export class CommandProcessor {
  #active: ActiveCommand | undefined;
  /** The active command has passed its checks and waits for descriptors. */
  #draining = false;

  constructor(
    private readonly registers: RegistersOf<DsaRegisters>,
    private readonly options: DsaOptions,
    private readonly target: CommandTarget,
  ) {}

  get active(): boolean {
    return this.#active !== undefined;
  }

  submit(word: number): void {
    if (this.#active !== undefined) {
      this.target.commandWhileActive();
      return;
    }
    this.registers.CMDSTATUS.value = CMDSTATUS_ACTIVE;
    this.#draining = false;
    this.#active = {
      code: (word >>> 20) & 0x1f,
      operand: word & OPERAND,
      reserved: (word & RESERVED) !== 0,
      interrupt: (word & REQUEST_INTERRUPT) !== 0,
    };
  }

  /** Completes the active command if it can be completed now. */
  progress(): void {
    const command = this.#active;
    if (command === undefined) return;
    const done = this.#execute(command);
    if (done === undefined) return;
    this.#active = undefined;
    this.registers.CMDSTATUS.value = done.error | ((done.result ?? 0) << 8);
    if (command.interrupt) this.target.commandCompleted();
  }

  /** A function level reset forgets the command. */
  reset(): void {
    this.#active = undefined;
  }

  /** Undefined: not yet. */
  #execute({ code, operand, reserved }: ActiveCommand): CommandResult | undefined {
    if (((commandCapabilities(this.options) >> BigInt(code)) & 1n) === 0n) {
      return { error: CommandError.unsupportedCommand };
    }
    if (reserved) return { error: CommandError.nonZeroReserved };
    if (this.#deviceState === DeviceState.halted && !this.#resetRecovers(code)) {
      return { error: CommandError.deviceHalted };
    }
    switch (code) {
      case Command.enableDevice:
        return operand === 0 ? this.#enableDevice() : { error: CommandError.nonZeroReserved };
      case Command.disableDevice:
      case Command.drainAll:
      case Command.abortAll:
      case Command.resetDevice:
        return operand === 0 ? this.#deviceCommand(code) : { error: CommandError.nonZeroReserved };
      case Command.enableWorkQueue:
        return { error: this.#enableWorkQueue(operand) };
      case Command.drainPasid:
      case Command.abortPasid:
        return this.#pasidCommand(code, operand);
      case Command.requestInterruptHandle:
      case Command.releaseInterruptHandle:
        return this.#handleCommand(code, operand);
      default:
        return this.#workQueueCommand(code, operand);
    }
  }

  get #deviceState(): number {
    return this.registers.GENSTS.value & 0x3;
  }

  #resetRecovers(code: number): boolean {
    return code === Command.resetDevice && (this.registers.GENSTS.value >>> 2) % 4 === ResetType.software;
  }

  #enableDevice(): CommandResult {
    if (this.#deviceState !== DeviceState.disabled) return { error: CommandError.deviceNotDisabled };
    return { error: this.target.enableDevice() };
  }

  #deviceCommand(code: number): CommandResult | undefined {
    const every = () => true;
    if (code === Command.disableDevice && !this.#draining && this.#deviceState !== DeviceState.enabled) {
      return { error: CommandError.disableOfDisabledDevice };
    }
    if (code === Command.disableDevice || code === Command.resetDevice) {
      if (this.#deviceState === DeviceState.enabled) this.target.setDeviceState(DeviceState.draining);
      this.target.closeWorkQueues(ALL_WORK_QUEUES);
    }
    if (code === Command.abortAll || code === Command.resetDevice) this.target.abandon(every);
    if (this.target.holds(every)) return this.#wait();
    if (code === Command.disableDevice) {
      this.target.disableWorkQueues(ALL_WORK_QUEUES);
      this.target.setDeviceState(DeviceState.disabled);
    }
    if (code === Command.resetDevice) this.target.resetDevice();
    return { error: CommandError.none };
  }

  #enableWorkQueue(operand: number): number {
    if (operand >>> 8 !== 0) return CommandError.nonZeroReserved;
    if (operand >= DSA.workQueues) return CommandError.invalidWorkQueue;
    if (this.#deviceState !== DeviceState.enabled) return CommandError.deviceNotEnabled;
    return this.target.enableWorkQueue(operand);
  }

  /** Disable, Drain, Abort and Reset WQ: a bit mask of queues; there is only group 0 of 16. */
  #workQueueCommand(code: number, mask: number): CommandResult | undefined {
    if ((mask & ~ALL_WORK_QUEUES) !== 0) return { error: CommandError.invalidWorkQueue };
    const needsEnabled = code !== Command.resetWorkQueue && !this.#draining;
    if (needsEnabled && (mask & ~this.target.enabledWorkQueues()) !== 0)
      return { error: CommandError.workQueueNotEnabled };
    const ofThese = ({ workQueue }: Submission) => ((mask >>> workQueue) & 1) === 1;
    if (code === Command.disableWorkQueue || code === Command.resetWorkQueue) this.target.closeWorkQueues(mask);
    if (code === Command.abortWorkQueue || code === Command.resetWorkQueue) this.target.abandon(ofThese);
    if (this.target.holds(ofThese)) return this.#wait();
    if (code === Command.disableWorkQueue) this.target.disableWorkQueues(mask);
    if (code === Command.resetWorkQueue) this.target.resetWorkQueues(mask);
    return { error: CommandError.none };
  }

  #pasidCommand(code: number, operand: number): CommandResult | undefined {
    const ofThis = ({ pasid }: Submission) => pasid === operand;
    if (code === Command.abortPasid) this.target.abandon(ofThis);
    return this.target.holds(ofThis) ? this.#wait() : { error: CommandError.none };
  }

  #handleCommand(code: number, operand: number): CommandResult {
    if (operand >>> 17 !== 0) return { error: CommandError.nonZeroReserved };
    // There is no interrupt message storage.
    if ((operand & OPERAND_IMS) !== 0) return { error: CommandError.invalidInterruptIndex };
    if (code === Command.releaseInterruptHandle) {
      const released = this.target.releaseInterruptHandle(operand);
      return { error: released ? CommandError.none : CommandError.invalidInterruptIndex };
    }
    const handle = this.target.requestInterruptHandle(operand);
    if (handle === undefined) return { error: CommandError.invalidInterruptIndex };
    return { error: CommandError.none, result: handle };
  }

  /** For `#execute`: not yet. */
  #wait(): CommandResult | undefined {
    this.#draining = true;
    return undefined;
  }
}

import type { RegisterFile } from "../../registers/index";
import type { Submission } from "../descriptors/submission";
import type { DeviceParts } from "../device-parts";
import { SoftwareError } from "../error-log";
import type { Dispatcher } from "../queues/dispatcher";
import type { WorkQueue } from "../queues/work-queue";
import type { WorkQueues } from "../queues/work-queues";
import { CMDSTATUS_ACTIVE, DeviceState, type DsaRegisters, InterruptCause, WorkQueueState } from "../registers/bar0";
import { Command, commandCapabilities, DSA, type DsaOptions } from "../registers/capabilities";
import { CommandError } from "./command-error";
import { checkDevice, checkWorkQueue, groupConfigurations } from "./enable-checks";

const OPERAND = 0xf_ffff;
const RESERVED = 0x7e00_0000;
const REQUEST_INTERRUPT = 0x8000_0000;

/** Request and Release Interrupt Handle: the entry of the IMS instead of the MSI-X table. */
const OPERAND_IMS = 0x1_0000;

/** The contents of a write to the Command register. */
interface ActiveCommand {
  readonly code: number;
  readonly operand: number;
  /** A reserved bit was set. */
  readonly reserved: boolean;
  readonly interrupt: boolean;
}

/** How a command ended: an error code, and a result if the command has one. */
interface CommandResult {
  readonly error: number;
  readonly result?: number;
}

const ALL_WORK_QUEUES = 2 ** DSA.workQueues - 1;

/** The device's side of the Command register (sections 3.15 and 9.2.12). Commands complete only in `progress`. */
export class CommandProcessor {
  #active: ActiveCommand | undefined;
  /** The active command has passed its checks and waits for descriptors. */
  #draining = false;

  readonly #bar0: RegisterFile<DsaRegisters>;
  readonly #options: DsaOptions;
  readonly #parts: DeviceParts;
  readonly #workQueues: WorkQueues;
  readonly #dispatcher: Dispatcher;

  constructor(
    bar0: RegisterFile<DsaRegisters>,
    options: DsaOptions,
    parts: DeviceParts,
    workQueues: WorkQueues,
    dispatcher: Dispatcher,
  ) {
    this.#bar0 = bar0;
    this.#options = options;
    this.#parts = parts;
    this.#workQueues = workQueues;
    this.#dispatcher = dispatcher;
  }

  submit(word: number): void {
    if (this.#active !== undefined) {
      this.#parts.errors.recordOfDevice(SoftwareError.commandWhileActive);
      return;
    }
    this.#parts.registers.CMDSTATUS.value = CMDSTATUS_ACTIVE;
    this.#draining = false;
    this.#active = {
      code: (word >>> 20) & 0x1f,
      operand: word & OPERAND,
      reserved: (word & RESERVED) !== 0,
      interrupt: (word & REQUEST_INTERRUPT) !== 0,
    };
  }

  /** Completes the active command if it can complete now. */
  progress(): void {
    const command = this.#active;
    if (command === undefined) return;
    const done = this.#execute(command);
    if (done === undefined) return;
    this.#active = undefined;
    this.#parts.registers.CMDSTATUS.value = done.error | ((done.result ?? 0) << 8);
    if (command.interrupt) this.#parts.interrupts.raiseCause(InterruptCause.command);
  }

  /** Forgets the command, at a function level reset. */
  reset(): void {
    this.#active = undefined;
  }

  /** Undefined while the command cannot end yet. */
  #execute({ code, operand, reserved }: ActiveCommand): CommandResult | undefined {
    if (((commandCapabilities(this.#options) >> BigInt(code)) & 1n) === 0n) {
      return { error: CommandError.unsupportedCommand };
    }
    if (reserved) return { error: CommandError.nonZeroReserved };
    if (
      this.#parts.status.state === DeviceState.halted &&
      !(code === Command.resetDevice && this.#parts.status.recoversByCommand)
    ) {
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

  #enableDevice(): CommandResult {
    if (this.#parts.status.state !== DeviceState.disabled) return { error: CommandError.deviceNotDisabled };
    const { registers, pci, status } = this.#parts;
    const error = checkDevice(registers, this.#workQueues.all, pci.busMaster);
    if (error !== CommandError.none) return { error };
    this.#dispatcher.configure(
      groupConfigurations(registers).map(({ workQueues, engineCount }) => ({
        workQueues: this.#workQueues.all.filter(({ index }) => ((workQueues >> BigInt(index)) & 1n) === 1n),
        engines: engineCount,
      })),
    );
    status.state = DeviceState.enabled;
    return { error };
  }

  #deviceCommand(code: number): CommandResult | undefined {
    const every = () => true;
    if (code === Command.disableDevice && !this.#draining && this.#parts.status.state !== DeviceState.enabled) {
      return { error: CommandError.disableOfDisabledDevice };
    }
    if (code === Command.disableDevice || code === Command.resetDevice) {
      if (this.#parts.status.state === DeviceState.enabled) this.#parts.status.state = DeviceState.draining;
      this.#close(ALL_WORK_QUEUES);
    }
    if (code === Command.abortAll || code === Command.resetDevice) this.#dispatcher.abandon(every);
    if (this.#workQueues.holds(every)) return this.#wait();
    if (code === Command.disableDevice) {
      this.#disable(ALL_WORK_QUEUES);
      this.#parts.status.state = DeviceState.disabled;
    }
    if (code === Command.resetDevice) this.#resetDevice();
    return { error: CommandError.none };
  }

  #enableWorkQueue(operand: number): number {
    if (operand >>> 8 !== 0) return CommandError.nonZeroReserved;
    if (operand >= DSA.workQueues) return CommandError.invalidWorkQueue;
    if (this.#parts.status.state !== DeviceState.enabled) return CommandError.deviceNotEnabled;
    const workQueue = this.#workQueues.all[operand] as WorkQueue;
    const error = checkWorkQueue(workQueue, this.#parts);
    if (error === CommandError.none) workQueue.state = WorkQueueState.enabled;
    return error;
  }

  /** Disable, Drain, Abort and Reset WQ take a bit mask of queues. There is only group 0 of 16. */
  #workQueueCommand(code: number, mask: number): CommandResult | undefined {
    if ((mask & ~ALL_WORK_QUEUES) !== 0) return { error: CommandError.invalidWorkQueue };
    const needsEnabled = code !== Command.resetWorkQueue && !this.#draining;
    if (needsEnabled && (mask & ~this.#workQueues.enabled) !== 0) return { error: CommandError.workQueueNotEnabled };
    const ofThese = ({ workQueue }: Submission) => ((mask >>> workQueue) & 1) === 1;
    if (code === Command.disableWorkQueue || code === Command.resetWorkQueue) this.#close(mask);
    if (code === Command.abortWorkQueue || code === Command.resetWorkQueue) this.#dispatcher.abandon(ofThese);
    if (this.#workQueues.holds(ofThese)) return this.#wait();
    if (code === Command.disableWorkQueue) this.#disable(mask);
    if (code === Command.resetWorkQueue) for (const workQueue of this.#workQueues.selected(mask)) workQueue.reset();
    return { error: CommandError.none };
  }

  #pasidCommand(code: number, operand: number): CommandResult | undefined {
    const ofThis = ({ pasid }: Submission) => pasid === operand;
    if (code === Command.abortPasid) this.#dispatcher.abandon(ofThis);
    return this.#workQueues.holds(ofThis) ? this.#wait() : { error: CommandError.none };
  }

  #handleCommand(code: number, operand: number): CommandResult {
    if (operand >>> 17 !== 0) return { error: CommandError.nonZeroReserved };
    // The device has no interrupt message storage.
    if ((operand & OPERAND_IMS) !== 0) return { error: CommandError.invalidInterruptIndex };
    if (code === Command.releaseInterruptHandle) {
      const released = this.#parts.interrupts.releaseHandle(operand);
      return { error: released ? CommandError.none : CommandError.invalidInterruptIndex };
    }
    const handle = this.#parts.interrupts.requestHandle(operand);
    if (handle === undefined) return { error: CommandError.invalidInterruptIndex };
    return { error: CommandError.none, result: handle };
  }

  #close(mask: number): void {
    for (const workQueue of this.#workQueues.selected(mask)) workQueue.close();
  }

  #disable(mask: number): void {
    for (const workQueue of this.#workQueues.selected(mask)) workQueue.state = WorkQueueState.disabled;
  }

  /** Returns the configuration to its initial values, except what table 9-3 names. */
  #resetDevice(): void {
    this.#dispatcher.configure([]);
    this.#parts.interrupts.reset();
    this.#bar0.reset({ keepSticky: true });
    this.#workQueues.reset();
  }

  /** For `#execute`: the command cannot end yet. */
  #wait(): CommandResult | undefined {
    this.#draining = true;
    return undefined;
  }
}

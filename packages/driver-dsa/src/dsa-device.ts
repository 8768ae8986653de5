import { type Bar, type PciDevice, VfioError } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import { PciCommand } from "@vfio-selftests/core/pci";
import { type Capabilities, readCapabilities } from "./capabilities";
import { commandErrorName, statusName } from "./error-names";
import {
  CMDSTATUS_ACTIVE,
  CMDSTATUS_ERROR,
  Command,
  COMMAND_SHIFT,
  DeviceState,
  GENSTS_STATE,
  GROUP_ENGINES,
  Opcode,
  PORTAL,
  PORTALS_BAR,
  Reg,
  REGISTERS_BAR,
  SWERROR_CLEAR,
  SWERROR_VALID,
  WQ_BATCH_SHIFT,
  WQ_STATE_ENABLED,
  WQ_STATE_SHIFT,
  WqMode,
  WqWord,
} from "./registers";

/** Commands take microseconds, but a reset waits for work that the device cannot abandon. */
const COMMAND_TIMEOUT_MS = 2000;

const PCI_COMMAND = PciCommand.memory | PciCommand.busMaster | PciCommand.interruptDisable;

/** The device's registers. It brings up a work queue from any state, and reads trouble out of the registers. */
export class DsaDevice {
  readonly device: PciDevice;
  capabilities: Capabilities;
  readonly #bar: Bar;
  readonly #portals: Bar;

  /** Brings the device up: see `bringUp`. */
  constructor(device: PciDevice) {
    this.device = device;
    this.#bar = device.bar(REGISTERS_BAR);
    this.#portals = device.bar(PORTALS_BAR);
    this.capabilities = this.bringUp();
  }

  /**
   * Brings up one dedicated work queue from any state. The queue has all entries, in a group with one engine, both
   * enabled. Nothing is in progress afterwards.
   */
  bringUp(): Capabilities {
    this.device.config.command = PCI_COMMAND;
    this.reset();
    this.capabilities = readCapabilities(this.device);
    this.#configure();
    this.#command(Command.enableDevice, "Enable Device");
    this.#command(Command.enableWorkQueue, "Enable WQ");
    return this.capabilities;
  }

  /** Ends all work and disables the device. Where the device does not answer, or is halted, it resets the function. */
  reset(): void {
    try {
      this.#command(Command.resetDevice, "Reset Device");
    } catch (error) {
      if (!(error instanceof VfioError) || !this.device.info.resettable) throw error;
      this.device.reset();
      this.device.config.command = PCI_COMMAND;
      const { msix } = this.device.interrupts;
      if (msix.enabled) msix.reenable();
      this.#command(Command.resetDevice, "Reset Device");
    }
    this.clearError();
  }

  /** Submits the descriptor at `offset` of `memory` to the device. */
  submit(memory: Uint8Array, offset: number): void {
    this.#portals.store64Bytes(PORTAL, memory, offset);
  }

  /** Whether the device and its work queue take descriptors. */
  get ready(): boolean {
    if ((this.#bar.read32(Reg.GENSTS) & GENSTS_STATE) !== DeviceState.enabled) return false;
    const state = this.#bar.read32(this.capabilities.workQueueTable + WqWord.state * 4);
    return state >>> WQ_STATE_SHIFT === WQ_STATE_ENABLED;
  }

  /**
   * What is wrong with the device, apart from any completion record: an error in SWERROR, or a state other than
   * enabled.
   */
  trouble(): string | undefined {
    const bar = this.#bar;
    if ((bar.read32(Reg.SWERROR) & SWERROR_VALID) !== 0) return this.#softwareError();
    const state = bar.read32(Reg.GENSTS) & GENSTS_STATE;
    return state === DeviceState.enabled ? undefined : `the device is ${stateName(state)}`;
  }

  clearError(): void {
    this.#bar.write64(Reg.SWERROR, SWERROR_CLEAR);
  }

  /** The device's registers as text, for errors. */
  state(): string {
    const bar = this.#bar;
    const queue = bar.read32(this.capabilities.workQueueTable + WqWord.state * 4);
    return [
      `GENSTS 0x${bar.read32(Reg.GENSTS).toString(16)}`,
      `CMDSTATUS 0x${bar.read32(Reg.CMDSTATUS).toString(16)}`,
      `WQ state ${queue >>> WQ_STATE_SHIFT}, occupancy ${queue & 0xffff}`,
      this.#softwareError(),
    ].join(", ");
  }

  #configure(): void {
    const { workQueueTable, groupTable, workQueueWords } = this.capabilities;
    const words = this.#workQueueConfiguration();
    for (let i = 0; i < workQueueWords; i++) this.#bar.write32(workQueueTable + i * 4, words[i] ?? 0);
    this.#bar.write64(groupTable, 1n);
    this.#bar.write64(groupTable + GROUP_ENGINES, 1n);
  }

  /**
   * Turns ATS off where the device allows the choice, so that the IOMMU sees, and reports, every access to an unmapped
   * address.
   */
  #workQueueConfiguration(): number[] {
    const { capabilities } = this;
    const words = new Array<number>(WqWord.operations + 1).fill(0);
    words[WqWord.size] = capabilities.totalWorkQueueSize;
    words[WqWord.mode] = WqMode.dedicated | WqMode.priority1 | (capabilities.atsControl ? WqMode.atsDisable : 0);
    words[WqWord.limits] = capabilities.maximumTransferShift | (capabilities.maximumBatchShift << WQ_BATCH_SHIFT);
    if (capabilities.operationsConfiguration) words[WqWord.operations] = (1 << Opcode.batch) | (1 << Opcode.memoryMove);
    return words;
  }

  #command(code: number, name: string): void {
    const bar = this.#bar;
    bar.write32(Reg.CMD, code << COMMAND_SHIFT);
    pollUntil(() => (bar.read32(Reg.CMDSTATUS) & CMDSTATUS_ACTIVE) === 0, {
      timeoutMs: COMMAND_TIMEOUT_MS,
      what: `the command ${name}`,
      subject: this.device.address,
      state: () => this.#errorState(),
    });
    const error = bar.read32(Reg.CMDSTATUS) & CMDSTATUS_ERROR;
    if (error === 0) return;
    const message = `${this.device.address}: command ${name} failed: ${commandErrorName(error)}; ${this.#errorState()}`;
    throw new VfioError(message, { code: "EIO", operation: name, subject: this.device.address });
  }

  #errorState(): string {
    const bar = this.#bar;
    const status = bar.read32(Reg.CMDSTATUS).toString(16);
    return `GENSTS 0x${bar.read32(Reg.GENSTS).toString(16)}, CMDSTATUS 0x${status}, ${this.#softwareError()}`;
  }

  /** SWERROR in words (section 9.2.15). */
  #softwareError(): string {
    const bar = this.#bar;
    const [first, second, address] = [0, 8, 16].map((offset) => bar.read64(Reg.SWERROR + offset)) as [
      bigint,
      bigint,
      bigint,
    ];
    if ((first & BigInt(SWERROR_VALID)) === 0n) return "SWERROR empty";
    const part = (word: bigint, shift: number, bits: number) =>
      Number((word >> BigInt(shift)) & ((1n << BigInt(bits)) - 1n));
    const notes = [`SWERROR ${statusName(part(first, 8, 8))}`];
    if (part(first, 3, 1) === 1) notes.push(`WQ ${part(first, 16, 8)}`);
    if (part(first, 2, 1) === 1) notes.push(`operation 0x${part(first, 32, 8).toString(16)}`);
    if (part(first, 4, 1) === 1) notes.push(`batch index ${part(second, 0, 16)}`);
    if (part(second, 32, 32) !== 0) notes.push(`information 0x${part(second, 32, 32).toString(16)}`);
    notes.push(`${part(first, 5, 1) === 1 ? "write" : "read"} address 0x${address.toString(16)}`);
    if (part(first, 1, 1) === 1) notes.push("more errors were lost");
    return notes.join(" ");
  }
}

function stateName(state: number): string {
  return Object.entries(DeviceState).find(([, value]) => value === state)?.[0] ?? `in state ${state}`;
}

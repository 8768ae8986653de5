import type { Descriptor } from "../descriptors/descriptor";
import type { Submission, WriteKind } from "../descriptors/submission";
import type { DeviceParts } from "../device-parts";
import { SoftwareError } from "../error-log";
import { DeviceState, WorkQueueState, WqMode } from "../registers/bar0";

const OCCUPANCY = 0xffff;
const INTERRUPT_GENERATED = 0x1_0000;
const INTERRUPT_ENABLE = 0x1_0000;

/**
 * A work queue: the descriptors in it, those that engines took from it, and its configuration register (section
 * 9.2.24).
 */
export class WorkQueue {
  readonly #waiting: Submission[] = [];
  /** Taken by an engine and not finished, in the order in which engines took them. */
  readonly #inFlight: Submission[] = [];
  /** WQCFG_OCCUPANCY_LIMIT before the last write. */
  #limitWord = 0;

  readonly #parts: DeviceParts;

  constructor(
    readonly index: number,
    parts: DeviceParts,
  ) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#word("WQCFG_SIZE") & 0xffff;
  }

  /** Entries that a limited portal may fill. */
  get threshold(): number {
    return Math.min(this.#word("WQCFG_THRESHOLD") & 0xffff, this.size);
  }

  get mode(): number {
    return this.#word("WQCFG_MODE");
  }

  get dedicated(): boolean {
    return (this.mode & WqMode.dedicated) !== 0;
  }

  get pasidEnabled(): boolean {
    return (this.mode & WqMode.pasidEnable) !== 0;
  }

  get pasid(): number {
    return (this.mode & WqMode.pasid) >>> 8;
  }

  get privileged(): boolean {
    return (this.mode & WqMode.privileged) !== 0;
  }

  get priority(): number {
    return (this.mode & WqMode.priority) >>> 4;
  }

  get maximumTransferShift(): number {
    return this.#word("WQCFG_LIMITS") & 0x1f;
  }

  get maximumBatchShift(): number {
    return (this.#word("WQCFG_LIMITS") >>> 5) & 0xf;
  }

  /** Bytes. */
  get maximumTransferSize(): number {
    return (1 << this.maximumTransferShift) >>> 0;
  }

  /** Descriptors. */
  get maximumBatchSize(): number {
    return 1 << this.maximumBatchShift;
  }

  get occupancyInterrupt(): { readonly handle: number; readonly ims: boolean } {
    const word = this.#word("WQCFG_OCCUPANCY_INTERRUPT");
    return { handle: word & 0xffff, ims: (word & 0x1_0000) !== 0 };
  }

  /** Whether OPCFG allows an operation. Modelled operations have codes below 64. */
  allows(opcode: number): boolean {
    const word = this.#parts.registers.WQCFG_OPCFG0[this.index];
    if (word === undefined || opcode >= 64) return false;
    return (((opcode < 32 ? word.low : word.high) >>> (opcode & 31)) & 1) === 1;
  }

  /** OPCFG: four 64-bit words. */
  get operations(): readonly [bigint, bigint, bigint, bigint] {
    const { WQCFG_OPCFG0, WQCFG_OPCFG1, WQCFG_OPCFG2, WQCFG_OPCFG3 } = this.#parts.registers;
    const word = (registers: typeof WQCFG_OPCFG0) => registers[this.index]?.value ?? 0n;
    return [word(WQCFG_OPCFG0), word(WQCFG_OPCFG1), word(WQCFG_OPCFG2), word(WQCFG_OPCFG3)];
  }

  get state(): number {
    return this.#word("WQCFG_STATE") >>> 30;
  }

  set state(state: number) {
    this.#setStateWord((this.#word("WQCFG_STATE") & 0x3fff_ffff) | (state << 30));
    this.checkOccupancy();
  }

  /** Stops taking descriptors. Work goes on. */
  close(): void {
    if (this.state === WorkQueueState.enabled) this.state = WorkQueueState.draining;
  }

  get occupancy(): number {
    return this.#waiting.length;
  }

  /**
   * Takes a descriptor that software wrote to one of its portals (section 5.3). `limited` portals fill it only up to
   * the threshold. False if it takes none: ENQCMD reports that as Retry, and a posted write is lost.
   */
  submit(descriptor: Descriptor, kind: WriteKind, { limited }: { readonly limited: boolean }): boolean {
    const { status, errors } = this.#parts;
    const { dedicated } = this;
    if (this.state !== WorkQueueState.enabled || status.state !== DeviceState.enabled) return false;
    if (dedicated !== (kind === "posted")) return false;
    const room = dedicated || !limited ? this.size : this.threshold;
    if (this.occupancy >= room) {
      if (dedicated) errors.recordOfDevice(SoftwareError.workQueueFull, this.index);
      return false;
    }
    const own = dedicated && this.pasidEnabled;
    this.#waiting.push({
      descriptor,
      workQueue: this.index,
      pasid: own ? this.pasid : dedicated ? undefined : descriptor.pasid,
      privileged: own ? this.privileged : descriptor.privileged,
      batchIndex: undefined,
    });
    this.#occupancyChanged();
    return true;
  }

  /** Hands the oldest waiting descriptor to an engine. */
  take(): Submission | undefined {
    const submission = this.#waiting.shift();
    if (submission === undefined) return undefined;
    this.#inFlight.push(submission);
    this.#occupancyChanged();
    return submission;
  }

  finish(submission: Submission): void {
    const position = this.#inFlight.indexOf(submission);
    if (position >= 0) this.#inFlight.splice(position, 1);
  }

  /** Forgets all descriptors that `doomed` names, waiting or in an engine. */
  abandon(doomed: (submission: Submission) => boolean): void {
    removeAll(this.#waiting, doomed);
    removeAll(this.#inFlight, doomed);
    this.#occupancyChanged();
  }

  /** Whether a descriptor that `matches` is still waiting or in an engine. */
  holds(matches: (submission: Submission) => boolean): boolean {
    return this.#waiting.some(matches) || this.#inFlight.some(matches);
  }

  /** Whether an engine still works on a descriptor older than `drain`, of its PASID in a shared queue. */
  olderInFlight(drain: Submission): boolean {
    const older = this.#inFlight.slice(0, Math.max(this.#inFlight.indexOf(drain), 0));
    return older.some(({ pasid }) => this.dedicated || pasid === drain.pasid);
  }

  /** The limit is locked while its interrupt is enabled. The write that enables it may still set it. */
  occupancyLimitWritten(): void {
    const register = this.#parts.registers.WQCFG_OCCUPANCY_LIMIT[this.index];
    if (register === undefined) return;
    if ((this.#limitWord & register.value & INTERRUPT_ENABLE) !== 0) {
      register.value = (register.value & ~OCCUPANCY) | (this.#limitWord & OCCUPANCY);
    }
    this.#limitWord = register.value;
    this.checkOccupancy();
  }

  /** The Reset WQ command resets everything but the size. */
  reset(): void {
    this.#parts.registers.WQCFG_THRESHOLD[this.index]?.reset(false);
    this.#parts.registers.WQCFG_MODE[this.index]?.reset(false);
    this.#parts.registers.WQCFG_LIMITS[this.index]?.reset(false);
    this.#parts.registers.WQCFG_OCCUPANCY_INTERRUPT[this.index]?.reset(false);
    this.#parts.registers.WQCFG_OCCUPANCY_LIMIT[this.index]?.reset(false);
    this.#parts.registers.WQCFG_STATE[this.index]?.reset(false);
    this.#parts.registers.WQCFG_OPCFG0[this.index]?.reset(false);
    this.#parts.registers.WQCFG_OPCFG1[this.index]?.reset(false);
    this.#parts.registers.WQCFG_OPCFG2[this.index]?.reset(false);
    this.#parts.registers.WQCFG_OPCFG3[this.index]?.reset(false);
    this.#limitWord = 0;
  }

  /** Raises the occupancy interrupt if it is due (section 9.2.24, WQ Occupancy Interrupt Enable). */
  checkOccupancy(): void {
    const limit = this.#word("WQCFG_OCCUPANCY_LIMIT");
    if (this.state !== WorkQueueState.enabled || (limit & INTERRUPT_ENABLE) === 0) return;
    const word = this.#word("WQCFG_STATE");
    if ((word & INTERRUPT_GENERATED) !== 0 || this.occupancy > (limit & OCCUPANCY)) return;
    this.#setStateWord(word | INTERRUPT_GENERATED);
    this.#parts.interrupts.occupancy(this.occupancyInterrupt.handle);
  }

  #occupancyChanged(): void {
    this.#setStateWord((this.#word("WQCFG_STATE") & ~OCCUPANCY) | this.occupancy);
    this.checkOccupancy();
  }

  #word(
    name:
      | "WQCFG_SIZE"
      | "WQCFG_THRESHOLD"
      | "WQCFG_MODE"
      | "WQCFG_LIMITS"
      | "WQCFG_OCCUPANCY_INTERRUPT"
      | "WQCFG_OCCUPANCY_LIMIT"
      | "WQCFG_STATE",
  ): number {
    return this.#parts.registers[name][this.index]?.value ?? 0;
  }

  #setStateWord(value: number): void {
    const register = this.#parts.registers.WQCFG_STATE[this.index];
    if (register !== undefined) register.value = value;
  }
}

function removeAll(list: Submission[], doomed: (submission: Submission) => boolean): void {
  const kept = list.filter((submission) => !doomed(submission));
  list.splice(0, list.length, ...kept);
}

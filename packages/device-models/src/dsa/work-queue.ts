import type { RegistersOf } from "../registers/index";
import { WorkQueueState, WqMode, type DsaRegisters } from "./registers";
import type { Submission } from "./submission";

const OCCUPANCY = 0xffff;
const INTERRUPT_GENERATED = 0x1_0000;
const INTERRUPT_ENABLE = 0x1_0000;

/** A work queue: what waits in it, what engines took from it, and its configuration register (section 9.2.24). */
export class WorkQueue {
  readonly #waiting: Submission[] = [];
  /** Taken by an engine and not finished, in the order they were taken. */
  readonly #inFlight: Submission[] = [];
  /** WQCFG_OCCUPANCY_LIMIT as it was before the last write. */
  #limitWord = 0;

  constructor(
    readonly index: number,
    private readonly registers: RegistersOf<DsaRegisters>,
    /** Told when the occupancy may have reached the limit: section 9.2.24, WQ Occupancy Interrupt Enable. */
    private readonly onOccupancyInterrupt: (handle: number) => void,
  ) {}

  get size(): number {
    return this.#word("WQCFG_SIZE") & 0xffff;
  }

  /** Entries that may be filled by a limited portal. */
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

  get occupancyInterrupt(): { readonly handle: number; readonly ims: boolean } {
    const word = this.#word("WQCFG_OCCUPANCY_INTERRUPT");
    return { handle: word & 0xffff, ims: (word & 0x1_0000) !== 0 };
  }

  /** OPCFG: four 64-bit words. */
  get operations(): readonly [bigint, bigint, bigint, bigint] {
    const { WQCFG_OPCFG0, WQCFG_OPCFG1, WQCFG_OPCFG2, WQCFG_OPCFG3 } = this.registers;
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

  get occupancy(): number {
    return this.#waiting.length;
  }

  add(submission: Submission): void {
    this.#waiting.push(submission);
    this.#occupancyChanged();
  }

  /** The oldest that waits, for an engine to work on. */
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

  /** Whether a descriptor that `matches` is still waiting or worked on. */
  holds(matches: (submission: Submission) => boolean): boolean {
    return this.#waiting.some(matches) || this.#inFlight.some(matches);
  }

  /** Whether an engine still works on a descriptor older than `submission` (which is in flight itself) that `matches`. */
  olderInFlight(submission: Submission, matches: (other: Submission) => boolean): boolean {
    const position = this.#inFlight.indexOf(submission);
    return this.#inFlight.slice(0, Math.max(position, 0)).some(matches);
  }

  /** The limit is locked while its interrupt is enabled; the write that enables it may still set it. */
  occupancyLimitWritten(): void {
    const register = this.registers.WQCFG_OCCUPANCY_LIMIT[this.index];
    if (register === undefined) return;
    if ((this.#limitWord & register.value & INTERRUPT_ENABLE) !== 0) {
      register.value = (register.value & ~OCCUPANCY) | (this.#limitWord & OCCUPANCY);
    }
    this.#limitWord = register.value;
    this.checkOccupancy();
  }

  /** The Reset WQ command: everything but the size. */
  reset(): void {
    this.registers.WQCFG_THRESHOLD[this.index]?.reset(false);
    this.registers.WQCFG_MODE[this.index]?.reset(false);
    this.registers.WQCFG_LIMITS[this.index]?.reset(false);
    this.registers.WQCFG_OCCUPANCY_INTERRUPT[this.index]?.reset(false);
    this.registers.WQCFG_OCCUPANCY_LIMIT[this.index]?.reset(false);
    this.registers.WQCFG_STATE[this.index]?.reset(false);
    this.registers.WQCFG_OPCFG0[this.index]?.reset(false);
    this.registers.WQCFG_OPCFG1[this.index]?.reset(false);
    this.registers.WQCFG_OPCFG2[this.index]?.reset(false);
    this.registers.WQCFG_OPCFG3[this.index]?.reset(false);
    this.#limitWord = 0;
  }

  /** Raises the occupancy interrupt when it is due. */
  checkOccupancy(): void {
    const limit = this.#word("WQCFG_OCCUPANCY_LIMIT");
    if (this.state !== WorkQueueState.enabled || (limit & INTERRUPT_ENABLE) === 0) return;
    const word = this.#word("WQCFG_STATE");
    if ((word & INTERRUPT_GENERATED) !== 0 || this.occupancy > (limit & OCCUPANCY)) return;
    this.#setStateWord(word | INTERRUPT_GENERATED);
    this.onOccupancyInterrupt(this.occupancyInterrupt.handle);
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
    return this.registers[name][this.index]?.value ?? 0;
  }

  #setStateWord(value: number): void {
    const register = this.registers.WQCFG_STATE[this.index];
    if (register !== undefined) register.value = value;
  }
}

function removeAll(list: Submission[], doomed: (submission: Submission) => boolean): void {
  const kept = list.filter((submission) => !doomed(submission));
  list.splice(0, list.length, ...kept);
}

import type { Bar, DmaRegion } from "@vfio-selftests/core";
import type { CommandMemory } from "./command-memory";
import { Completion, COMPLETION_BYTES, DOORBELLS, SUBMISSION_BYTES } from "./registers";

const COMMAND_WORDS = SUBMISSION_BYTES / 4;
const COMPLETION_WORDS = COMPLETION_BYTES / 4;
/** Words of a command. */
const NAMESPACE = 1;
const DWORD_10 = 10;
const COMMAND_ID_SHIFT = 16;

/** Where a queue pair lies in the driver's region, its number, and its size. */
export interface QueuePlace {
  readonly id: number;
  readonly submissions: number;
  readonly completions: number;
  readonly entries: number;
}

/** A submission queue and its completion queue. Its user never submits more than `entries - 1` commands at once. */
export class QueuePair {
  readonly id: number;
  readonly entries: number;
  readonly submissions: bigint;
  readonly completions: bigint;
  readonly #bar: Bar;
  readonly #words: Uint32Array;
  readonly #submissionWord: number;
  readonly #completionWord: number;
  readonly #tailDoorbell: number;
  readonly #headDoorbell: number;
  #tail = 0;
  #head = 0;
  /** The phase bit of new completions. It turns over at each round of the queue (base 4.2.4). */
  #phase: number = Completion.phase;
  #outstanding = 0;
  #failure = 0;
  #result = 0;

  constructor(bar: Bar, region: DmaRegion, place: QueuePlace, doorbellStride: number) {
    this.#bar = bar;
    this.id = place.id;
    this.entries = place.entries;
    this.#words = region.words();
    this.#submissionWord = place.submissions / 4;
    this.#completionWord = place.completions / 4;
    this.submissions = region.iovaOf(place.submissions);
    this.completions = region.iovaOf(place.completions);
    this.#tailDoorbell = DOORBELLS + 2 * place.id * doorbellStride;
    this.#headDoorbell = this.#tailDoorbell + doorbellStride;
  }

  /** Commands that have not completed. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** The status of the first command that failed since {@link clear}; 0: none did. */
  get failure(): number {
    return this.#failure;
  }

  /** Dword 0 of the last completion. */
  get result(): number {
    return this.#result;
  }

  /** Empties both queues. The controller must begin anew, too. */
  reset(): void {
    this.#tail = 0;
    this.#head = 0;
    this.#phase = Completion.phase;
    this.#outstanding = 0;
    this.clear();
    this.#words.fill(0, this.#completionWord, this.#completionWord + this.entries * COMPLETION_WORDS);
  }

  /** Forgets failures. */
  clear(): void {
    this.#failure = 0;
  }

  /** Adds a command. The controller sees it after {@link ring}. */
  add(opcode: number, namespace: number, memory?: CommandMemory, dword10 = 0, dword11 = 0, dword12 = 0): void {
    const words = this.#words;
    const command = this.#submissionWord + this.#tail * COMMAND_WORDS;
    words.fill(0, command, command + COMMAND_WORDS);
    words[command] = opcode | (this.#tail << COMMAND_ID_SHIFT);
    words[command + NAMESPACE] = namespace;
    memory?.writeTo(words, command);
    words[command + DWORD_10] = dword10;
    words[command + DWORD_10 + 1] = dword11;
    words[command + DWORD_10 + 2] = dword12;
    this.#tail = (this.#tail + 1) % this.entries;
    this.#outstanding++;
  }

  /** Tells the controller of the commands added. */
  ring(): void {
    this.#bar.write32(this.#tailDoorbell, this.#tail);
  }

  /** Takes the completions that are there. Returns whether no command is outstanding. */
  reap(): boolean {
    const before = this.#head;
    while (this.#outstanding > 0) {
      const entry = this.#completionWord + this.#head * COMPLETION_WORDS;
      const status = Atomics.load(this.#words, entry + Completion.statusWord);
      if ((status & Completion.phase) !== this.#phase) break;
      if (this.#failure === 0) this.#failure = status >>> Completion.statusShift;
      this.#result = this.#words[entry + Completion.resultWord] as number;
      this.#outstanding--;
      this.#head = (this.#head + 1) % this.entries;
      if (this.#head === 0) this.#phase ^= Completion.phase;
    }
    if (this.#head !== before) this.#bar.write32(this.#headDoorbell, this.#head);
    return this.#outstanding === 0;
  }
}

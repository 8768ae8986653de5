import type { DmaRegion } from "@vfio-selftests/core";
import { PAGE_SIZE } from "./registers";

/** Words of a command: the first, and where its pointer to memory lies (DPTR). */
const COMMAND = 0;
const POINTER = 6;
const POINTER_WORDS = 4;
/** Bits of the first word: the pointer is a scatter gather list (PSDT). */
const USES_SEGMENTS = 1 << 14;

/** Last byte of a descriptor in a scatter gather list: its type (base 4.1.2). */
const LAST_SEGMENT = 0x30 << 24;
const DESCRIPTOR_BYTES = 16;
const DESCRIPTOR_WORDS = DESCRIPTOR_BYTES / 4;
/** PRP 1 is a multiple of this. */
const PAGE_ENTRY_ALIGNMENT = 4;

/** Indices into the table of addresses. */
const Address = { memory: 0, list: 1, padding: 2 } as const;

/**
 * The memory of a command, in one of two ways. Whole blocks are a list of pages (PRP, base 4.1.1): the first entry names the
 * first page, with an offset; the second one names the second page or, for more, a list of the rest. Anything else is a
 * scatter gather list (SGL): the bytes, and padding up to a whole block. Each list fits into one page. Addresses are halves in
 * words, so a copy makes no BigInt.
 */
export class CommandMemory {
  readonly #words: Uint32Array;
  /** The list's index into the words. */
  readonly #list: number;
  readonly #addresses = new BigUint64Array(3);
  readonly #halves = new Uint32Array(this.#addresses.buffer);
  readonly #pointer = new Uint32Array(POINTER_WORDS);
  #flags = 0;

  /** `list` and `padding` are offsets of pages in the driver's region. */
  constructor(region: DmaRegion, list: number, padding: number) {
    this.#words = region.words();
    this.#list = list / 4;
    this.#addresses[Address.list] = region.iovaOf(list);
    this.#addresses[Address.padding] = region.iovaOf(padding);
  }

  /** Names `size` bytes from `address`, and `padding` bytes that nobody cares for. Both together are whole blocks. */
  aim(address: bigint, size: number, padding: number): void {
    this.#addresses[Address.memory] = address;
    const isPages = padding === 0 && this.#low(Address.memory) % PAGE_ENTRY_ALIGNMENT === 0;
    this.#flags = isPages ? 0 : USES_SEGMENTS;
    if (isPages) this.#listPages(size);
    else this.#listSegments(size, padding);
  }

  /** Writes the pointer into the command that begins at `words[command]`. */
  writeTo(words: Uint32Array, command: number): void {
    words[command + COMMAND] = (words[command + COMMAND] as number) | this.#flags;
    for (let i = 0; i < POINTER_WORDS; i++) words[command + POINTER + i] = this.#pointer[i] as number;
  }

  #listPages(size: number): void {
    const low = this.#low(Address.memory);
    let high = this.#high(Address.memory);
    this.#pointer[0] = low;
    this.#pointer[1] = high;
    const offset = low % PAGE_SIZE;
    const pages = Math.ceil((offset + size) / PAGE_SIZE);
    let page = low - offset;
    for (let index = 0; index < pages - 1; index++) {
      // Unsigned: an address may lie above 2 GiB, and the next one behind a boundary of 4 GiB.
      page = (page + PAGE_SIZE) >>> 0;
      if (page === 0) high = (high + 1) >>> 0;
      this.#words[this.#list + 2 * index] = page;
      this.#words[this.#list + 2 * index + 1] = high;
    }
    const isList = pages > 2;
    this.#pointer[2] = isList ? this.#low(Address.list) : pages === 2 ? page : 0;
    this.#pointer[3] = isList ? this.#high(Address.list) : pages === 2 ? high : 0;
  }

  #listSegments(size: number, padding: number): void {
    if (padding === 0) {
      this.#describe(this.#pointer, 0, Address.memory, size, 0);
      return;
    }
    this.#describe(this.#words, this.#list, Address.memory, size, 0);
    this.#describe(this.#words, this.#list + DESCRIPTOR_WORDS, Address.padding, padding, 0);
    this.#describe(this.#pointer, 0, Address.list, 2 * DESCRIPTOR_BYTES, LAST_SEGMENT);
  }

  /** Writes one descriptor of a scatter gather list. */
  #describe(words: Uint32Array, at: number, address: number, length: number, type: number): void {
    words[at] = this.#low(address);
    words[at + 1] = this.#high(address);
    words[at + 2] = length;
    words[at + 3] = type;
  }

  #low(address: number): number {
    return this.#halves[2 * address] as number;
  }

  #high(address: number): number {
    return this.#halves[2 * address + 1] as number;
  }
}

import type { DmaRegion } from "@vfio-selftests/core";
import { HEADER_SIZE, Layout, RX_RING_SIZE, TX_RING_SIZE } from "./region-layout";
import { DESCRIPTOR_SIZE, RX_DESCRIPTOR_DONE, RxWriteBack, TX_PAYLOAD_SHIFT, TxCommand } from "./registers";

const WORDS = DESCRIPTOR_SIZE / 4;
const TX_COMMAND = TxCommand.DTYP_DATA | TxCommand.DEXT | TxCommand.IFCS;
const TX_START = Layout.txRing / 4;
const RX_START = Layout.rxRing / 4;
const PAGE_SIZE = 4096;

/**
 * Ethernet header of every frame: locally administered addresses and the EtherType for local experiments (IEEE 802,
 * 0x88b5). So no byte of the data is taken for a protocol: sent bare, data that looks like a broken IP header is dropped.
 */
const ETHERNET_HEADER = [0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5];

/** An I/O virtual address as descriptors take it. */
export interface Halves {
  readonly low: number;
  readonly high: number;
}

/** What the receiver wrote back into a descriptor: status and errors, and the bytes of data it stored. */
export interface ReceivedFrame {
  readonly status: number;
  readonly length: number;
}

/** The transmit and the receive ring in the driver's DMA region. */
export class Rings {
  readonly txBase: bigint;
  readonly rxBase: bigint;
  /** Values of the tail registers: where the next descriptors go. */
  txTail = 0;
  rxTail = 0;
  readonly #words: Int32Array;
  readonly #txHeader: Halves;
  readonly #rxHeader: Halves;

  constructor(region: DmaRegion) {
    this.txBase = region.iovaOf(Layout.txRing);
    this.rxBase = region.iovaOf(Layout.rxRing);
    this.#txHeader = halves(region.iovaOf(Layout.txHeader));
    this.#rxHeader = halves(region.iovaOf(Layout.rxHeader));
    this.#words = new Int32Array(region.bytes.buffer, region.bytes.byteOffset, Layout.txHeader / 4);
    region.bytes.fill(0, Layout.txHeader, Layout.txHeader + HEADER_SIZE);
    region.bytes.set(ETHERNET_HEADER, Layout.txHeader);
  }

  /** Forgets what is in the rings; the device must be told to start at 0 too. */
  reset(): void {
    this.txTail = 0;
    this.rxTail = 0;
    this.#words.fill(0);
  }

  /**
   * Adds one frame: the header and `size` bytes (at most a page) from `source`; the data is received into `destination`.
   * A source that crosses a page boundary gets a descriptor for each page: QEMU's igb drops a buffer whose pages do not
   * lie side by side in memory.
   */
  push(source: Halves, destination: Halves, size: number): void {
    const words = this.#words;
    const rx = RX_START + this.rxTail * WORDS;
    words[rx] = destination.low;
    words[rx + 1] = destination.high;
    // Where the header goes; this also clears the done bit of the last round.
    words[rx + 2] = this.#rxHeader.low;
    words[rx + 3] = this.#rxHeader.high;
    this.rxTail = (this.rxTail + 1) % RX_RING_SIZE;

    const frameSize = HEADER_SIZE + size;
    this.#transmit(this.#txHeader.low, this.#txHeader.high, frameSize, HEADER_SIZE);
    const inFirstPage = PAGE_SIZE - (source.low & (PAGE_SIZE - 1));
    if (size <= inFirstPage) {
      this.#transmit(source.low, source.high, frameSize, size | TxCommand.EOP);
    } else {
      this.#transmit(source.low, source.high, frameSize, inFirstPage);
      const low = (source.low + inFirstPage) | 0;
      const high = low === 0 ? source.high + 1 : source.high;
      this.#transmit(low, high, frameSize, (size - inFirstPage) | TxCommand.EOP);
    }
  }

  /** What became of the frame `back` places before the tail; undefined while the receiver has not written it back. */
  received(back: number): ReceivedFrame | undefined {
    const at = RX_START + ((this.rxTail - back + RX_RING_SIZE) % RX_RING_SIZE) * WORDS;
    const status = Atomics.load(this.#words, at + RxWriteBack.statusWord);
    if ((status & RX_DESCRIPTOR_DONE) === 0) return undefined;
    return { status, length: Atomics.load(this.#words, at + RxWriteBack.lengthWord) & 0xffff };
  }

  /** One transmit descriptor; `frameSize` is the whole frame's payload, `lengthAndFlags` this buffer's. */
  #transmit(low: number, high: number, frameSize: number, lengthAndFlags: number): void {
    const words = this.#words;
    const tx = TX_START + this.txTail * WORDS;
    words[tx] = low;
    words[tx + 1] = high;
    words[tx + 2] = TX_COMMAND | lengthAndFlags;
    words[tx + 3] = frameSize << TX_PAYLOAD_SHIFT;
    this.txTail = (this.txTail + 1) % TX_RING_SIZE;
  }
}

/** The low and high 32 bits of an address, as signed words. */
export function halves(address: bigint): Halves {
  return { low: Number(address & 0xffffffffn) | 0, high: Number(address >> 32n) | 0 };
}

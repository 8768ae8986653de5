import type { DmaRegion } from "@vfio-selftests/core";
import { Layout, RING_BYTES, RING_SIZE } from "./region-layout";
import { DESCRIPTOR_SIZE, RX_DESCRIPTOR_DONE, RxWriteBack, TX_PAYLOAD_SHIFT, TxCommand } from "./registers";

const WORDS = DESCRIPTOR_SIZE / 4;
const TX_COMMAND = TxCommand.DTYP_DATA | TxCommand.DEXT | TxCommand.IFCS | TxCommand.EOP;

/** What the receiver wrote back into a descriptor. */
export interface ReceivedFrame {
  readonly status: number;
  readonly length: number;
}

/** The transmit and the receive ring in the driver's DMA region, of equal size and in step with each other. */
export class Rings {
  readonly txBase: bigint;
  readonly rxBase: bigint;
  /** Where the next frame goes; the value of both tail registers. */
  tail = 0;
  readonly #words: Int32Array;

  constructor(region: DmaRegion) {
    this.txBase = region.iovaOf(Layout.txRing);
    this.rxBase = region.iovaOf(Layout.rxRing);
    this.#words = new Int32Array(region.bytes.buffer, region.bytes.byteOffset, (2 * RING_BYTES) / 4);
  }

  /** Forgets what is in the rings; the device must be told to start at 0 too. */
  reset(): void {
    this.tail = 0;
    this.#words.fill(0);
  }

  /** Adds one frame: `size` bytes from `source`, received into `destination`. */
  push(
    source: readonly [low: number, high: number],
    destination: readonly [low: number, high: number],
    size: number,
  ): void {
    const tx = Layout.txRing / 4 + this.tail * WORDS;
    const rx = Layout.rxRing / 4 + this.tail * WORDS;
    const words = this.#words;
    words[rx] = destination[0];
    words[rx + 1] = destination[1];
    // No header buffer; this also clears the done bit of the last round.
    words[rx + 2] = 0;
    words[rx + 3] = 0;
    words[tx] = source[0];
    words[tx + 1] = source[1];
    words[tx + 2] = TX_COMMAND | size;
    words[tx + 3] = size << TX_PAYLOAD_SHIFT;
    this.tail = (this.tail + 1) % RING_SIZE;
  }

  /** What became of the frame `back` places before the tail; undefined while the receiver has not written it back. */
  received(back: number): ReceivedFrame | undefined {
    const index = (this.tail - back + RING_SIZE) % RING_SIZE;
    const at = Layout.rxRing / 4 + index * WORDS;
    const status = Atomics.load(this.#words, at + RxWriteBack.statusWord);
    if ((status & RX_DESCRIPTOR_DONE) === 0) return undefined;
    return { status, length: Atomics.load(this.#words, at + RxWriteBack.lengthWord) & 0xffff };
  }
}

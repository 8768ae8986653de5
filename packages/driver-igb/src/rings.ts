import type { DmaRegion } from "@vfio-selftests/core";
import { HEADER_SIZE, Layout, RX_RING_SIZE, TX_RING_SIZE } from "./region-layout";
import { DESCRIPTOR_SIZE, RX_DESCRIPTOR_DONE, RxWriteBack, TX_PAYLOAD_SHIFT, TxCommand } from "./registers";

const WORDS = DESCRIPTOR_SIZE / 4;
const TX_COMMAND = TxCommand.DTYP_DATA | TxCommand.DEXT | TxCommand.IFCS;
const TX_START = Layout.txRing / 4;
const RX_START = Layout.rxRing / 4;
const PAGE_SIZE = 4096;

/**
 * Ethernet header of every frame, behind the receiver's address: locally administered addresses and the EtherType for local experiments (IEEE 802,
 * 0x88b5). It keeps the device from taking data for a protocol: a bare frame whose data looks like a broken IP header
 * is dropped.
 */
const HEADER_BEHIND_ADDRESS = [0x02, 0, 0, 0, 0, 2, 0x88, 0xb5];

const ADDRESS_SIZE = 6;

/** Indices into the table of addresses. */
const Address = { txHeader: 0, rxHeader: 1, source: 2, destination: 3 } as const;

/** The transmit and the receive ring in the driver's DMA region. */
export class Rings {
  readonly txBase: bigint;
  readonly rxBase: bigint;
  /** Values of the tail registers: where the next descriptors go. */
  txTail = 0;
  rxTail = 0;
  readonly #words: Int32Array;
  readonly #header: Uint8Array;
  /** Addresses for descriptors, whole and as low and high halves: see {@link Address}. */
  readonly #addresses = new BigUint64Array(4);
  readonly #halves = new Int32Array(this.#addresses.buffer);
  readonly #testSource: bigint;
  readonly #testDestination: bigint;

  constructor(region: DmaRegion) {
    this.txBase = region.iovaOf(Layout.txRing);
    this.rxBase = region.iovaOf(Layout.rxRing);
    this.#addresses[Address.txHeader] = region.iovaOf(Layout.txHeader);
    this.#addresses[Address.rxHeader] = region.iovaOf(Layout.rxHeader);
    this.#testSource = region.iovaOf(Layout.txHeader);
    this.#testDestination = region.iovaOf(Layout.testDestination);
    this.#words = new Int32Array(region.bytes.buffer, region.bytes.byteOffset, Layout.txHeader / 4);
    region.bytes.fill(0, Layout.txHeader, Layout.txHeader + HEADER_SIZE);
    this.#header = region.bytes.subarray(Layout.txHeader, Layout.txHeader + HEADER_SIZE);
    this.#header.set(HEADER_BEHIND_ADDRESS, ADDRESS_SIZE);
  }

  /** Sets the Ethernet address to which all frames go. */
  sendTo(address: readonly number[]): void {
    this.#header.set(address);
  }

  /** Empties the rings. The caller must tell the device to start at 0, too. */
  reset(): void {
    this.txTail = 0;
    this.rxTail = 0;
    this.#words.fill(0);
  }

  /** Sets where later frames come from and go to. */
  aim(source: bigint, destination: bigint): void {
    this.#addresses[Address.source] = source;
    this.#addresses[Address.destination] = destination;
  }

  /** Adds a frame within the driver's region. */
  pushTestFrame(): void {
    this.aim(this.#testSource, this.#testDestination);
    this.push(HEADER_SIZE);
  }

  /**
   * Adds one frame: the header and `size` bytes (at most a page) from the source. The device receives the data into the
   * destination. A source that crosses a page boundary gets a descriptor for each page, because QEMU's igb drops a
   * buffer whose pages do not lie side by side in memory.
   */
  push(size: number): void {
    const words = this.#words;
    const rx = RX_START + this.rxTail * WORDS;
    words[rx] = this.#low(Address.destination);
    words[rx + 1] = this.#high(Address.destination);
    // The header's destination. This write also clears the done bit of the last round.
    words[rx + 2] = this.#low(Address.rxHeader);
    words[rx + 3] = this.#high(Address.rxHeader);
    this.rxTail = (this.rxTail + 1) % RX_RING_SIZE;

    const frameSize = HEADER_SIZE + size;
    this.#transmit(this.#low(Address.txHeader), this.#high(Address.txHeader), frameSize, HEADER_SIZE);
    const low = this.#low(Address.source);
    const high = this.#high(Address.source);
    const inFirstPage = PAGE_SIZE - (low & (PAGE_SIZE - 1));
    if (size <= inFirstPage) {
      this.#transmit(low, high, frameSize, size | TxCommand.EOP);
    } else {
      this.#transmit(low, high, frameSize, inFirstPage);
      const next = (low + inFirstPage) | 0;
      this.#transmit(next, next === 0 ? high + 1 : high, frameSize, (size - inFirstPage) | TxCommand.EOP);
    }
  }

  /** Whether the receiver has written back the frame `back` places before the tail. */
  isReceived(back: number): boolean {
    return (this.status(back) & RX_DESCRIPTOR_DONE) !== 0;
  }

  /** Status and errors that the receiver wrote back. Meaningless for a frame not received. */
  status(back: number): number {
    return Atomics.load(this.#words, this.#received(back) + RxWriteBack.statusWord);
  }

  /** Bytes of data that the receiver stored. */
  length(back: number): number {
    return Atomics.load(this.#words, this.#received(back) + RxWriteBack.lengthWord) & 0xffff;
  }

  #received(back: number): number {
    return RX_START + ((this.rxTail - back + RX_RING_SIZE) % RX_RING_SIZE) * WORDS;
  }

  #low(address: number): number {
    return this.#halves[2 * address] as number;
  }

  #high(address: number): number {
    return this.#halves[2 * address + 1] as number;
  }

  /** Writes one transmit descriptor. `frameSize` is the whole frame's payload, `lengthAndFlags` this buffer's. */
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

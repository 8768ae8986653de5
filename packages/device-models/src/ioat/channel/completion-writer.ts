import type { DmaSpace } from "@vfio-selftests/vfio-user";
import type { Bar0 } from "../registers/bar0";

const ALIGNMENT = 0x7n;

/** Writes CHANSTS to the address in CHANCMP. */
export class CompletionWriter {
  readonly #bytes = new Uint8Array(8);
  readonly #view = new DataView(this.#bytes.buffer);
  /** Software has written CHANCMP since the last reset. 0 is an address like any other. */
  addressSet = false;

  readonly #bar0: Bar0;

  constructor(bar0: Bar0) {
    this.#bar0 = bar0;
  }

  /** False without an address, or if the address cannot be written. An aborted access counts as done. */
  write(dma: DmaSpace, statusWord: bigint): boolean {
    const address = this.#bar0.registers.CHANCMP.value;
    if (!this.addressSet || (address & ALIGNMENT) !== 0n) return false;
    this.#view.setBigUint64(0, statusWord, true);
    const fault = dma.publish(address, this.#bytes);
    return fault === undefined || fault.reason === "aborted";
  }
}

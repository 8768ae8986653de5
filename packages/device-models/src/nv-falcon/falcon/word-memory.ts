import type { Register, RegisterHooks } from "../../registers/index";
import { Port } from "../registers/bar0";

/** A memory inside the GPU, which software reaches by ports: a control register with an address, and a data register. */
export class WordMemory {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  /** `length` in bytes, a power of two. */
  constructor(length: number) {
    this.bytes = new Uint8Array(length);
    this.#view = new DataView(this.bytes.buffer);
  }

  clear(): void {
    this.bytes.fill(0);
  }

  word(address: number): number {
    return this.#view.getUint32(this.#wrapped(address), true);
  }

  setWord(address: number, value: number): void {
    this.#view.setUint32(this.#wrapped(address), value >>> 0, true);
  }

  /** `length` bytes from `address` on; both are multiples of the length, a power of two. Addresses wrap at the end. */
  slice(address: number, length: number): Uint8Array {
    const start = this.#wrapped(address) & ~(length - 1);
    return this.bytes.subarray(start, start + length);
  }

  /** What the data registers of this memory's ports do. */
  portData(ports: () => { readonly control: readonly Register[]; readonly data: readonly Register[] }) {
    const port = (index: number) => {
      const { control, data } = ports();
      return { control: control[index] as Register, data: data[index] as Register };
    };
    return {
      beforeRead: (index) => {
        const { control, data } = port(index);
        data.value = this.word(control.value & Port.address);
      },
      afterRead: (index) => moveOn(port(index).control, Port.incrementAfterRead),
      afterWrite: (written, _, index) => {
        const { control } = port(index);
        this.setWord(control.value & Port.address, written);
        moveOn(control, Port.incrementAfterWrite);
      },
    } satisfies RegisterHooks<number>;
  }

  #wrapped(address: number): number {
    return address & (this.bytes.length - 1) & ~3;
  }
}

/** To the next word, if the port's control register asks for it. */
function moveOn(control: Register, when: number): void {
  if ((control.value & when) === 0) return;
  control.value = (control.value & ~Port.address) | ((control.value + 4) & Port.address);
}

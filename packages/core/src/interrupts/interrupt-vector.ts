import type { VfioDevice } from "../contracts/vfio-device";
import { Eventfd } from "./eventfd";

/** One enabled vector of a device: the eventfd that the kernel signals, and what can be done to the vector. */
export class InterruptVector extends Eventfd {
  /** Number of the vector in its index. */
  readonly vector: number;
  readonly #device: VfioDevice;
  readonly #index: number;

  constructor(device: VfioDevice, index: number, vector: number, label: string) {
    super(label);
    this.#device = device;
    this.#index = index;
    this.vector = vector;
  }

  /** Makes the kernel signal the vector, without the device (a software loopback). */
  trigger(): void {
    this.#device.setIrqs({ index: this.#index, action: "trigger", start: this.vector, count: 1 });
  }

  /** Masks the vector. The kernel offers it for INTx only: `ENOTTY` for the others. */
  mask(): void {
    this.#device.setIrqs({ index: this.#index, action: "mask", start: this.vector, count: 1 });
  }

  /** Unmasks the vector; an INTx that the device still asserts arrives again. INTx only. */
  unmask(): void {
    this.#device.setIrqs({ index: this.#index, action: "unmask", start: this.vector, count: 1 });
  }
}

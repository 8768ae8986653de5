import type { SetIrqs, VfioDevice } from "../contracts/vfio-device";
import { closedError } from "../errors/vfio-error";
import { Eventfd } from "./eventfd";

/** Which interrupt of a device a vector is. */
export interface VectorIdentity {
  /** VFIO's index of the interrupt kind. */
  readonly index: number;
  /** Number of the vector in its index. */
  readonly vector: number;
  /** For errors: `0000:01:00.0 MSI-X vector 3`. */
  readonly label: string;
}

/**
 * One enabled vector of a device: the eventfd that the kernel signals, and the operations on the vector. Closing it
 * takes the eventfd from the kernel; `InterruptIndex.vector` gives a fresh one.
 */
export class InterruptVector extends Eventfd {
  /** Number of the vector in its index. */
  readonly vector: number;
  readonly #device: VfioDevice;
  readonly #index: number;
  readonly #beforeClose: (vector: InterruptVector) => void;

  /** Calls `beforeClose` once, while the eventfd is still open. */
  constructor(device: VfioDevice, identity: VectorIdentity, beforeClose: (vector: InterruptVector) => void) {
    super(identity.label);
    this.#device = device;
    this.#index = identity.index;
    this.vector = identity.vector;
    this.#beforeClose = beforeClose;
  }

  /** Makes the kernel signal the vector, without the device (a software loopback). */
  trigger(): void {
    this.#set("trigger");
  }

  /** Masks the vector. The kernel offers it for INTx only; others are `ENOTTY`. */
  mask(): void {
    this.#set("mask");
  }

  /** Unmasks the vector. An INTx that the device still asserts arrives again. INTx only. */
  unmask(): void {
    this.#set("unmask");
  }

  override close(): void {
    if (this.closed) return;
    try {
      this.#beforeClose(this);
    } finally {
      super.close();
    }
  }

  #set(action: SetIrqs["action"]): void {
    if (this.closed) throw closedError(`InterruptVector.${action}`, this.label);
    this.#device.setIrqs({ index: this.#index, action, start: this.vector, count: 1 });
  }
}

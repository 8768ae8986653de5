import { native } from "@vfio-selftests/native";
import { tooFewVectors } from "../backend/too-few-vectors";
import type { IrqInfo, SetIrqs } from "../contracts/vfio-device";
import { argumentError, systemError } from "../errors/vfio-error";
import {
  VFIO_IRQ_INFO_AUTOMASKED,
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_INFO_MASKABLE,
  VFIO_IRQ_INFO_NORESIZE,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
  VFIO_PCI_NUM_IRQS,
} from "../uapi/vfio-numbers";

const EINVAL = -22;
const ENOTTY = -25;

/** Interrupts of a fake device, by the rules of vfio-pci (drivers/vfio/pci/vfio_pci_intrs.c). */
export class FakeInterrupts {
  /** Every request, in order. */
  readonly requests: SetIrqs[] = [];
  /** MSI and MSI-X vectors that the machine has left. A request for more enables none (vfio_msi_enable). */
  vectorsLeft = Infinity;
  readonly #subject: string;
  readonly #infos: readonly IrqInfo[];
  /**
   * Duplicates of the given eventfds, by index and vector, because the kernel, too, holds the file and not the number.
   */
  readonly #eventfds = new Map<number, Map<number, number>>();
  readonly #masked = new Set<number>();
  readonly #pendingWhileMasked = new Set<number>();

  /** By interrupt index. `subject` is the device's address, for errors. */
  constructor(subject: string, irqs: Readonly<Record<number, Partial<Omit<IrqInfo, "index">>>>) {
    this.#subject = subject;
    this.#infos = Array.from({ length: VFIO_PCI_NUM_IRQS }, (_, index) => fakeIrqInfo(index, irqs[index] ?? {}));
  }

  /** As VfioDevice.irqInfo. */
  info(index: number): IrqInfo {
    const info = this.#infos[index];
    if (info === undefined)
      throw argumentError("VFIO_DEVICE_GET_IRQ_INFO", "index", index, `0 to ${VFIO_PCI_NUM_IRQS - 1}`);
    return info;
  }

  /** As VfioDevice.setIrqs, with the kernel's errors. */
  set(request: SetIrqs): void {
    const { index, action, start, count, data } = request;
    const given = data === undefined ? count : "eventfds" in data ? data.eventfds.length : data.bools.length;
    if (given !== count) throw argumentError("setIrqs", "count", count, `${given}, the number of values given`);
    this.requests.push(request);
    const info = this.info(index);
    if (start + count > info.count) throw this.#refuse(EINVAL);
    const vectors = Array.from({ length: count }, (_, position) => start + position);
    if (action !== "trigger") {
      if (!info.maskable) throw this.#refuse(ENOTTY);
      for (const vector of vectors) this.#mask(index, vector, action === "mask");
    } else if (data !== undefined && "eventfds" in data) {
      if (this.#otherInUse(index)) throw this.#refuse(EINVAL);
      if (index !== VFIO_PCI_INTX_IRQ_INDEX && !this.#eventfds.has(index) && count > this.vectorsLeft) {
        throw tooFewVectors(this.#subject, index, count, this.vectorsLeft);
      }
      vectors.forEach((vector, position) => this.#assign(index, vector, data.eventfds[position] ?? -1));
    } else if (count === 0) {
      this.#disable(index);
    } else {
      if (!this.#eventfds.has(index)) throw this.#refuse(EINVAL);
      vectors.forEach((vector, position) => {
        if (data === undefined || data.bools[position] === true) this.raise(index, vector);
      });
    }
  }

  /** Signals a vector as the device would. A masked vector holds the signal back. False if nobody listens. */
  raise(index: number, vector: number): boolean {
    const fd = this.#eventfds.get(index)?.get(vector);
    if (fd === undefined) return false;
    if (this.#masked.has(index)) {
      this.#pendingWhileMasked.add(index);
      return true;
    }
    native.write(fd, new Uint8Array(new BigUint64Array([1n]).buffer));
    // The kernel masks INTx until the user has handled it (VFIO_IRQ_INFO_AUTOMASKED).
    if (this.info(index).autoMasked) this.#masked.add(index);
    return true;
  }

  /** The vectors of an index that have an eventfd. */
  assigned(index: number): number[] {
    return [...(this.#eventfds.get(index)?.keys() ?? [])].sort((a, b) => a - b);
  }

  /** Forgets every eventfd, as closing the device does. */
  close(): void {
    for (const index of [...this.#eventfds.keys()]) this.#disable(index);
  }

  #assign(index: number, vector: number, eventfd: number): void {
    const vectors = this.#eventfds.get(index) ?? new Map<number, number>();
    const old = vectors.get(vector);
    if (old !== undefined) native.close(old);
    vectors.delete(vector);
    if (eventfd >= 0) {
      const duplicate = native.dup(eventfd);
      if (duplicate < 0) throw this.#refuse(duplicate);
      vectors.set(vector, duplicate);
    }
    if (vectors.size > 0) this.#eventfds.set(index, vectors);
  }

  #disable(index: number): void {
    for (const fd of this.#eventfds.get(index)?.values() ?? []) native.close(fd);
    this.#eventfds.delete(index);
    this.#masked.delete(index);
    this.#pendingWhileMasked.delete(index);
  }

  #mask(index: number, vector: number, masked: boolean): void {
    if (!this.#eventfds.has(index)) throw this.#refuse(EINVAL);
    if (masked) {
      this.#masked.add(index);
      return;
    }
    this.#masked.delete(index);
    if (this.#pendingWhileMasked.delete(index)) this.raise(index, vector);
  }

  #otherInUse(index: number): boolean {
    return index <= VFIO_PCI_MSIX_IRQ_INDEX && [0, 1, 2].some((other) => other !== index && this.#eventfds.has(other));
  }

  #refuse(result: number): Error {
    return systemError(result, "VFIO_DEVICE_SET_IRQS", { subject: this.#subject });
  }
}

function fakeIrqInfo(index: number, irq: Partial<Omit<IrqInfo, "index">>): IrqInfo {
  const isIntx = index === VFIO_PCI_INTX_IRQ_INDEX;
  const { count = 0, eventfd = true, maskable = isIntx, autoMasked = isIntx, noResize = false } = irq;
  const flags =
    (eventfd ? VFIO_IRQ_INFO_EVENTFD : 0) |
    (maskable ? VFIO_IRQ_INFO_MASKABLE : 0) |
    (autoMasked ? VFIO_IRQ_INFO_AUTOMASKED : 0) |
    (noResize ? VFIO_IRQ_INFO_NORESIZE : 0);
  return { index, flags: irq.flags ?? flags, count, eventfd, maskable, autoMasked, noResize };
}

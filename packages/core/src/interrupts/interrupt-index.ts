import type { IrqInfo, VfioDevice } from "../contracts/vfio-device";
import { argumentError, closedError, VfioError } from "../errors/vfio-error";
import {
  VFIO_PCI_ERR_IRQ_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
  VFIO_PCI_REQ_IRQ_INDEX,
} from "../uapi/vfio-numbers";
import { InterruptVector } from "./interrupt-vector";

/** The kernel's limit of MSI-X vectors: the table size field has 11 bits (PCI 3.0, section 6.8.2.3). */
export const MAX_VECTORS = 2048;

/** The interrupt kinds of a PCI device, with VFIO's index of each (`VFIO_PCI_*_IRQ_INDEX`). */
const interruptIndexes = {
  intx: VFIO_PCI_INTX_IRQ_INDEX,
  msi: VFIO_PCI_MSI_IRQ_INDEX,
  msix: VFIO_PCI_MSIX_IRQ_INDEX,
  err: VFIO_PCI_ERR_IRQ_INDEX,
  req: VFIO_PCI_REQ_IRQ_INDEX,
} as const;
/** An interrupt index of a PCI device, by name (VFIO_PCI_*_IRQ_INDEX). */
export type InterruptKind = keyof typeof interruptIndexes;

/** Their usual spelling. */
const kindNames: Readonly<Record<InterruptKind, string>> = {
  intx: "INTx",
  msi: "MSI",
  msix: "MSI-X",
  err: "ERR",
  req: "REQ",
};

/** The kernel enables one of these at a time (`vfio_pci_core_device.irq_type`). */
const exclusiveKinds: readonly InterruptKind[] = ["intx", "msi", "msix"];

/** What the interrupt kinds of one device must know of each other. */
export interface InterruptSiblings {
  /** The exclusive kind in use, or undefined. */
  exclusiveInUse(): InterruptIndex | undefined;
}

/**
 * One kind of interrupt of a device: INTx, MSI, MSI-X, or the events ERR (an uncorrectable PCIe error) and REQ (the
 * host wants the device back).
 */
export class InterruptIndex {
  /** Which kind it is. */
  readonly kind: InterruptKind;
  /** VFIO's index. */
  readonly index: number;
  readonly #device: VfioDevice;
  readonly #siblings: InterruptSiblings;
  /** The enabled vectors by number. Undefined for a vector that its owner closed. */
  readonly #vectors = new Map<number, InterruptVector | undefined>();
  #closed = false;

  /** Asks the device nothing yet. */
  constructor(device: VfioDevice, kind: InterruptKind, siblings: InterruptSiblings) {
    this.kind = kind;
    this.index = interruptIndexes[kind];
    this.#device = device;
    this.#siblings = siblings;
  }

  /** Its usual spelling: `MSI-X`. */
  get name(): string {
    return kindNames[this.kind];
  }

  /** VFIO_DEVICE_GET_IRQ_INFO. The count is 0 if the device does not offer this kind. */
  get info(): IrqInfo {
    const absent = {
      index: this.index,
      flags: 0,
      count: 0,
      eventfd: false,
      maskable: false,
      autoMasked: false,
      noResize: false,
    };
    if (this.index >= this.#device.info.irqCount) return absent;
    try {
      return this.#device.irqInfo(this.index);
    } catch (error) {
      // vfio-pci refuses ERR for a device without PCIe (vfio_pci_ioctl_get_irq_info).
      if (this.kind === "err" && error instanceof VfioError && error.code === "EINVAL") return absent;
      throw error;
    }
  }

  /** How many vectors the device offers; 0 if it lacks this kind. */
  get count(): number {
    return this.info.count;
  }

  /** Whether only one such kind can be enabled at a time: INTx, MSI or MSI-X. */
  get exclusive(): boolean {
    return exclusiveKinds.includes(this.kind);
  }

  /** Whether at least one vector is enabled. */
  get enabled(): boolean {
    return this.#vectors.size > 0;
  }

  /** The enabled vectors that have an eventfd, ascending. */
  get enabledVectors(): readonly InterruptVector[] {
    const open = [...this.#vectors.values()].filter((vector) => vector !== undefined);
    return open.sort((a, b) => a.vector - b.vector);
  }

  /**
   * Gives each of `count` vectors from `first` an eventfd and enables them. Default: all. Further ranges may be added
   * later; if the kernel says NORESIZE, only up to the first range's end. Throws if a vector does not exist or is
   * enabled already, and if another of INTx, MSI and MSI-X is in use. Nothing changes when it throws.
   */
  enable(first = 0, count = this.count - first): void {
    this.#checkOpen("enable");
    this.#checkRange("enable", first, count);
    this.#checkCanEnable(first, count);
    const added: InterruptVector[] = [];
    try {
      for (let vector = first; vector < first + count; vector++) added.push(this.#newVector(vector));
      this.#assign(added);
    } catch (error) {
      for (const vector of added) vector.close();
      throw error;
    }
    for (const vector of added) this.#vectors.set(vector.vector, vector);
  }

  /**
   * Gives the kernel the existing eventfds again after a reset, so their holders go on receiving. Throws if no vector
   * is enabled.
   */
  reenable(): void {
    this.#checkOpen("reenable");
    if (!this.enabled) throw this.#notEnabled("reenable");
    // One request for each run of consecutive vectors.
    const runs: InterruptVector[][] = [];
    for (const vector of this.enabledVectors) {
      const run = runs.at(-1);
      if (run?.at(-1)?.vector === vector.vector - 1) run.push(vector);
      else runs.push([vector]);
    }
    for (const run of runs) this.#assign(run);
  }

  /** Tells the kernel to stop, then closes the eventfds. Does nothing if none is enabled. */
  disable(): void {
    this.#checkOpen("disable");
    if (!this.enabled) return;
    this.#device.setIrqs({ index: this.index, action: "trigger", start: 0, count: 0 });
    this.#closeVectors();
  }

  /**
   * An enabled vector. The index owns it. A caller may close it earlier (`using`), and the next call then gives a fresh
   * one. Interrupts that arrive between the two are lost.
   */
  vector(vector: number): InterruptVector {
    this.#checkOpen("vector");
    const enabled = this.#vectors.get(vector);
    if (enabled !== undefined) return enabled;
    if (!this.enabled) throw this.#notEnabled("vector");
    if (this.#vectors.has(vector)) return this.#renewed(vector);
    const vectors = [...this.#vectors.keys()].sort((a, b) => a - b).join(", ");
    throw argumentError(`${this.name}.vector`, "vector", vector, `the enabled ones: ${vectors}`);
  }

  /** Makes the kernel signal a vector, without the device. */
  trigger(vector: number): void {
    this.vector(vector).trigger();
  }

  /** Masks a vector. INTx only. */
  mask(vector = 0): void {
    this.vector(vector).mask();
  }

  /** Unmasks a vector. INTx only. */
  unmask(vector = 0): void {
    this.vector(vector).unmask();
  }

  /** Closes the eventfds without telling the kernel, because closing the device ends its interrupts. */
  close(): void {
    this.#closed = true;
    this.#closeVectors();
  }

  #newVector(vector: number): InterruptVector {
    const label = `${this.#device.address} ${this.name} vector ${vector}`;
    return new InterruptVector(this.#device, { index: this.index, vector, label }, this.#released);
  }

  /** A new eventfd for a vector whose owner closed the last one. */
  #renewed(number: number): InterruptVector {
    const vector = this.#newVector(number);
    try {
      this.#assign([vector]);
    } catch (error) {
      vector.close();
      throw error;
    }
    this.#vectors.set(number, vector);
    return vector;
  }

  /**
   * Takes a vector's eventfd from the kernel when its owner closes the vector. The vector stays enabled, without an
   * eventfd.
   */
  readonly #released = (vector: InterruptVector): void => {
    if (this.#vectors.get(vector.vector) !== vector) return;
    this.#vectors.set(vector.vector, undefined);
    if (this.#device.closed) return;
    this.#device.setIrqs({
      index: this.index,
      action: "trigger",
      start: vector.vector,
      count: 1,
      data: { eventfds: [-1] },
    });
  };

  /** Gives the kernel the eventfds of consecutive vectors. */
  #assign(vectors: readonly InterruptVector[]): void {
    const eventfds = vectors.map((vector) => vector.fd);
    this.#device.setIrqs({
      index: this.index,
      action: "trigger",
      start: vectors[0]?.vector ?? 0,
      count: eventfds.length,
      data: { eventfds },
    });
  }

  #checkRange(method: string, first: number, count: number): void {
    const operation = `${this.name}.${method}`;
    const available = Math.min(this.count, MAX_VECTORS);
    if (available === 0) {
      throw new VfioError(`${operation}: ${this.#device.address} has no ${this.name}`, {
        code: "ERR_NOT_SUPPORTED",
        operation,
        subject: this.#device.address,
        remedy: `use a device that has ${this.name}, or another kind of interrupt`,
      });
    }
    if (!Number.isInteger(first) || first < 0 || first >= available) {
      throw argumentError(operation, "first", first, `0 to ${available - 1}`);
    }
    if (!Number.isInteger(count) || count < 1 || first + count > available) {
      throw argumentError(operation, "count", count, `1 to ${available - first} from vector ${first}`);
    }
  }

  #checkCanEnable(first: number, count: number): void {
    const operation = `${this.name}.enable`;
    const address = this.#device.address;
    const inUse = this.#siblings.exclusiveInUse();
    if (this.exclusive && inUse !== undefined && inUse !== this) {
      throw new VfioError(`${operation}: ${inUse.name} of ${address} is enabled, and only one of the two can be`, {
        code: "EBUSY",
        operation,
        subject: address,
        remedy: `disable ${inUse.name} first`,
      });
    }
    if (!this.enabled) return;
    for (let vector = first; vector < first + count; vector++) {
      if (this.#vectors.has(vector)) {
        throw new VfioError(`${operation}: vector ${vector} of ${address} is enabled already`, {
          code: "EEXIST",
          operation,
          subject: address,
          remedy: `disable ${this.name} first, or use reenable() after a reset`,
        });
      }
    }
    const last = Math.max(...this.#vectors.keys());
    if (this.info.noResize && first + count - 1 > last) {
      throw new VfioError(
        `${operation}: vectors 0 to ${last} of ${address} are set up and the kernel cannot add more (NORESIZE)`,
        {
          code: "EBUSY",
          operation,
          subject: address,
          remedy: `disable ${this.name} first, then enable all vectors at once`,
        },
      );
    }
  }

  #notEnabled(method: string): VfioError {
    const operation = `${this.name}.${method}`;
    return new VfioError(`${operation}: ${this.name} of ${this.#device.address} is not enabled`, {
      code: "ERR_NOT_ENABLED",
      operation,
      subject: this.#device.address,
      remedy: "call enable() first",
    });
  }

  /** The kernel knows already, or need not know: `#released` ignores vectors that are not in the table. */
  #closeVectors(): void {
    const vectors = this.enabledVectors;
    this.#vectors.clear();
    for (const vector of vectors) vector.close();
  }

  #checkOpen(method: string): void {
    if (this.#closed) throw closedError(`${this.name}.${method}`, this.#device.address);
  }
}

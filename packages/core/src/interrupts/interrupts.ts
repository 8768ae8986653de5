import type { VfioDevice } from "../contracts/vfio-device";
import { InterruptIndex } from "./interrupt-index";

/** The interrupts of one PCI device. INTx, MSI and MSI-X exclude each other; ERR and REQ are independent. */
export class Interrupts {
  /** The pin's interrupt (INTA to INTD), level-triggered. The kernel masks it when it arrives. */
  readonly intx: InterruptIndex;
  /** Message signalled interrupts: up to 32 vectors. */
  readonly msi: InterruptIndex;
  /** MSI-X: up to 2048 vectors. */
  readonly msix: InterruptIndex;
  /** Signalled when the device reports an uncorrectable PCIe error. */
  readonly err: InterruptIndex;
  /** Signalled when the host asks for the device back (unbind, hot-unplug). */
  readonly req: InterruptIndex;

  /** Asks the device nothing yet. */
  constructor(device: VfioDevice) {
    const siblings = { exclusiveInUse: () => this.exclusiveInUse() };
    this.intx = new InterruptIndex(device, "intx", siblings);
    this.msi = new InterruptIndex(device, "msi", siblings);
    this.msix = new InterruptIndex(device, "msix", siblings);
    this.err = new InterruptIndex(device, "err", siblings);
    this.req = new InterruptIndex(device, "req", siblings);
  }

  /** The five kinds, by VFIO's index. */
  get all(): readonly InterruptIndex[] {
    return [this.intx, this.msi, this.msix, this.err, this.req];
  }

  /** The enabled one of INTx, MSI and MSI-X. */
  exclusiveInUse(): InterruptIndex | undefined {
    return [this.intx, this.msi, this.msix].find((index) => index.enabled);
  }

  /** Closes every eventfd. */
  close(): void {
    for (const index of this.all) index.close();
  }
}

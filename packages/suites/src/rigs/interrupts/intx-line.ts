import { Eventfd, type PciDevice } from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
import {
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  VFIO_PCI_INTX_IRQ_INDEX,
} from "@vfio-selftests/core/uapi";
import { skip } from "@vfio-selftests/harness";
import { type InterruptSource, intxSourceOf } from "../../devices/interrupt-sources";
import { PhysicalConfig } from "../config-space/physical-config";
import { RawDevice } from "../raw/raw-device";
import { vfioInterrupts } from "./kernel-interrupts";

const COMMAND = 4;
const INTX_DISABLE = 1 << 10;

/** How to make the device raise INTx. Skips the test where it has none, or no way is known. */
export function requireIntxSource(device: PciDevice): InterruptSource {
  const source = intxSourceOf(device);
  if (device.interrupts.intx.count > 0 && source !== undefined) return source;
  skip({
    reason: `no way is known to make ${device.address} assert INTx`,
    remedy: "use a device with a known way: vfio-selftests lab run --device igb",
  });
}

/** INTx, enabled on one eventfd by raw requests, of a device that is ready to raise it. */
export class IntxLine implements Disposable {
  readonly device: PciDevice;
  readonly source: InterruptSource;
  readonly eventfd: Eventfd;
  readonly #raw: RawDevice;
  readonly #physical: PhysicalConfig;

  /** Skips the test where the device has no INTx that it can raise, or does not have its line for itself. */
  constructor(device: PciDevice) {
    this.source = requireIntxSource(device);
    this.device = device;
    this.#raw = new RawDevice(device);
    this.#physical = new PhysicalConfig(device.address);
    this.eventfd = new Eventfd("INTx");
    try {
      const enabled = this.enable();
      // vfio-pci asks for a line of its own where it cannot mask the device (vfio_intx_set_signal).
      if (enabled === "EBUSY") {
        skip({ reason: "another device has the same interrupt line", remedy: "vfio-selftests lab run --device igb" });
      }
      if (enabled !== 0) throw new Error(`INTx was not enabled: ${enabled}`);
      this.source.prepare();
    } catch (error) {
      try {
        this[Symbol.dispose]();
      } catch {
        // The caller must know of the first error.
      }
      throw error;
    }
  }

  /** Enables INTx on the eventfd. Returns the kernel's result or the name of the errno. */
  enable(): number | string {
    return this.set(VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, {
      data: Int32Array.of(this.eventfd.fd),
    });
  }

  /** VFIO_DEVICE_SET_IRQS on the line. Returns the kernel's result or the name of the errno. */
  set(
    flags: number,
    { count = 1, data }: { count?: number; data?: Int32Array | Uint8Array | undefined } = {},
  ): number | string {
    return this.#raw.setIrqs({
      flags,
      index: VFIO_PCI_INTX_IRQ_INDEX,
      count,
      ...(data === undefined ? {} : { data }),
    });
  }

  /** Whether the device itself may not assert its line: the bit in its own command register, not in the user's copy. */
  get maskedInDevice(): boolean {
    return (this.#physical.read16(COMMAND) & INTX_DISABLE) !== 0;
  }

  /** How often the interrupt of the line came since the kernel started. */
  get takenByKernel(): number | undefined {
    return vfioInterrupts(this.device.address)[0]?.count;
  }

  [Symbol.dispose](): void {
    closeAll(`INTx of ${this.device.address}`, [
      () => this.source.acknowledge(),
      () => void (this.device.config.interruptDisable = false),
      // EINVAL where the test disabled it already.
      () => void this.set(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, { count: 0 }),
      () => this.#physical[Symbol.dispose](),
      () => this.eventfd.close(),
    ]);
  }
}

import type { VfioDevice } from "../contracts/vfio-device";

/** The devices that an address space has opened, and closes when it is closed itself. */
export class OpenDevices {
  readonly #devices = new Set<VfioDevice>();

  /** Gives the device back. Forgets those that were closed meanwhile. */
  add(device: VfioDevice): VfioDevice {
    for (const known of this.#devices) if (known.closed) this.#devices.delete(known);
    this.#devices.add(device);
    return device;
  }

  /** The steps that close them, the last opened first; they are no longer kept here. */
  closing(): (() => void)[] {
    const devices = [...this.#devices].reverse();
    this.#devices.clear();
    return devices.map((device) => () => device.close());
  }
}

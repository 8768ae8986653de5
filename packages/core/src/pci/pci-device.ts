import type { OpenDeviceOptions } from "../contracts/iommu";
import type { DeviceInfo, HotResetInfo, VfioDevice } from "../contracts/vfio-device";
import { argumentError, closedError, VfioError } from "../errors/vfio-error";
import { Interrupts } from "../interrupts/interrupts";
import { closeAll } from "../ownership/close-all";
import { VFIO_DEVICE_FLAGS_PCI, VFIO_PCI_CONFIG_REGION_INDEX } from "../uapi/vfio-numbers";
import { Bar } from "./bar/bar";
import { BAR_COUNT, readBarTypes } from "./bar/bar-types";
import { ConfigSpace } from "./config/config-space";
import { DeviceFeatures } from "./features";
import { hotReset, hotResetInfo } from "./hot-reset";
import { resetDevice } from "./reset";
import { ExpansionRom } from "./rom";

/** An address space that opens devices: `Iommu`, or a back end. */
export interface DeviceOpener {
  openDevice(address: string, options: OpenDeviceOptions): VfioDevice;
  /** Closes the child with the address space. Returns a function that releases the child. */
  adopt?(child: PciDevice): () => void;
}

/** The part of configuration space that every device has (PCI Local Bus 3.0, section 6.1). */
const HEADER_BYTES = 64;

/** A PCI device in user space: configuration space, BARs, interrupts and reset. It knows no particular device. */
export class PciDevice implements Disposable {
  /** The device in VFIO's vocabulary. This object owns it. */
  readonly vfio: VfioDevice;
  /** Configuration space. */
  readonly config: ConfigSpace;
  /** Six, by index. Unimplemented ones have size 0. */
  readonly bars: readonly Bar[];
  /** The expansion ROM. */
  readonly rom: ExpansionRom;
  /** INTx, MSI, MSI-X and the events. */
  readonly interrupts: Interrupts;
  /** VFIO_DEVICE_FEATURE. */
  readonly features: DeviceFeatures;
  /** Lets the address space forget this device. */
  #release: (() => void) | undefined;
  #closed = false;

  /** Opens the device at `address` in the address space `iommu`, which closes the device with itself. */
  static open(iommu: DeviceOpener, address: string, options: OpenDeviceOptions = {}): PciDevice {
    const vfio = iommu.openDevice(address, options);
    try {
      const device = new PciDevice(vfio);
      device.#release = iommu.adopt?.(device);
      return device;
    } catch (error) {
      vfio.close();
      throw error;
    }
  }

  /** Owns an open device from now on: `close` closes it, too. */
  constructor(vfio: VfioDevice) {
    const { info, address } = vfio;
    if ((info.flags & VFIO_DEVICE_FLAGS_PCI) === 0 || info.regionCount <= VFIO_PCI_CONFIG_REGION_INDEX) {
      throw new VfioError(`${address} is not a PCI device (device flags 0x${info.flags.toString(16)})`, {
        code: "ERR_NOT_SUPPORTED",
        operation: "PciDevice.open",
        subject: address,
        remedy: "give the address of a PCI device",
      });
    }
    this.vfio = vfio;
    this.config = new ConfigSpace(vfio);
    if (this.config.size < HEADER_BYTES) {
      throw new VfioError(`${address} has no PCI configuration space (its region has ${this.config.size} bytes)`, {
        code: "ERR_NOT_SUPPORTED",
        operation: "PciDevice.open",
        subject: address,
        remedy:
          "a model gives one: 256 bytes, or 4096 for PCI Express (`configSpace` of @vfio-selftests/device-models)",
      });
    }
    const indexes = Array.from({ length: BAR_COUNT }, (_, index) => index);
    const types = readBarTypes(
      this.config,
      indexes.map((index) => vfio.regionInfo(index).size),
    );
    this.bars = types.map((type, index) => new Bar(vfio, index, type));
    this.rom = new ExpansionRom(vfio);
    this.interrupts = new Interrupts(vfio);
    this.features = new DeviceFeatures(vfio);
  }

  /** PCI address, `vfio-user:PATH` or `model:NAME`. */
  get address(): string {
    return this.vfio.address;
  }

  /** VFIO_DEVICE_GET_INFO, asked once. */
  get info(): DeviceInfo {
    return this.vfio.info;
  }

  /** Whether {@link close} has been called. */
  get closed(): boolean {
    return this.#closed || this.vfio.closed;
  }

  /** The BAR with this number. Throws for a number outside 0 to 5, and for a BAR that the device does not implement. */
  bar(index: number): Bar {
    const bar = this.bars[index];
    if (bar === undefined) throw argumentError("PciDevice.bar", "index", index, `0 to ${BAR_COUNT - 1}`);
    if (bar.size === 0) {
      const implemented = this.bars.filter((other) => other.size > 0).map((other) => other.index);
      throw new VfioError(`${this.address} has no BAR ${index}; implemented: ${implemented.join(", ") || "none"}`, {
        code: "ERR_NOT_SUPPORTED",
        operation: "PciDevice.bar",
        subject: this.address,
      });
    }
    return bar;
  }

  /** True when the device has these ids. */
  matches(vendorId: number, deviceId: number): boolean {
    return this.config.vendorId === vendorId && this.config.deviceId === deviceId;
  }

  /**
   * Resets the function (VFIO_DEVICE_RESET), and repeats that on EAGAIN. Afterwards the device's registers are at their
   * defaults. `InterruptIndex.reenable` gives enabled interrupts to the kernel again.
   */
  reset(): void {
    this.#checkOpen("PciDevice.reset");
    resetDevice(this.vfio);
  }

  /** The devices that a reset of the slot or bus affects. */
  hotResetInfo(): HotResetInfo {
    this.#checkOpen("PciDevice.hotResetInfo");
    return hotResetInfo(this.vfio);
  }

  /**
   * Resets the slot or bus. `owned` are open devices of this process in all IOMMU groups that the reset affects,
   * including this one. Errors: `EINVAL` if a group is missing, `ENODEV` on the root bus, `ENOTTY` if a device did not
   * come back in time.
   */
  hotReset(owned: readonly PciDevice[] = [this]): void {
    this.#checkOpen("PciDevice.hotReset");
    hotReset(
      this.vfio,
      owned.map(({ vfio }) => vfio),
    );
  }

  /**
   * Closes the device, which makes the kernel end its interrupts and DMA, then BARs and eventfds. Idempotent. Throws
   * `ERR_STILL_MAPPED` while registers are mapped for DMA, and leaves everything as it was. Otherwise it completes all
   * its steps, whatever a step throws.
   */
  close(): void {
    if (this.#closed) return;
    for (const bar of this.bars) bar.requireNotMapped("PciDevice.close");
    let closeDevice = (): void => undefined;
    try {
      this.vfio.close();
    } catch (error) {
      // The device refused: registers that somebody mapped through it are mapped for DMA.
      if (!this.vfio.closed) throw error;
      closeDevice = () => {
        throw error;
      };
    }
    this.#closed = true;
    this.#release?.();
    closeAll(this.address, [closeDevice, ...this.bars.map((bar) => () => bar.close()), () => this.interrupts.close()]);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #checkOpen(operation: string): void {
    if (this.closed) throw closedError(operation, this.address);
  }
}

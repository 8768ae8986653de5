import type { VfioDevice } from "../contracts/vfio-device";
import { VfioError } from "../errors/vfio-error";
import { VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_PROBE, VFIO_DEVICE_FEATURE_SET } from "../uapi/vfio-numbers";

/** VFIO_DEVICE_FEATURE of one device; `feature` is a `VFIO_DEVICE_FEATURE_*` index. */
export class DeviceFeatures {
  readonly #device: VfioDevice;

  constructor(device: VfioDevice) {
    this.#device = device;
  }

  /** Asks the kernel, without effect, whether the feature can be read or set (VFIO_DEVICE_FEATURE_PROBE). */
  supports(feature: number, access: "get" | "set"): boolean {
    const flag = access === "get" ? VFIO_DEVICE_FEATURE_GET : VFIO_DEVICE_FEATURE_SET;
    try {
      this.#device.feature(feature | flag | VFIO_DEVICE_FEATURE_PROBE, new Uint8Array(0));
      return true;
    } catch (error) {
      // ENOTTY: the kernel or device lacks the feature; EINVAL: it lacks this access (vfio_check_feature).
      if (error instanceof VfioError && (error.code === "ENOTTY" || error.code === "EINVAL")) return false;
      throw error;
    }
  }

  /** Reads a feature; `length` bytes are its structure's size. */
  get(feature: number, length: number): Uint8Array {
    return this.#device.feature(feature | VFIO_DEVICE_FEATURE_GET, new Uint8Array(length));
  }

  /** Sets a feature. */
  set(feature: number, payload: Uint8Array): void {
    this.#device.feature(feature | VFIO_DEVICE_FEATURE_SET, payload);
  }
}

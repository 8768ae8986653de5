import type { PayloadLink, VfioDevice } from "../contracts/vfio-device";
import { argumentError, VfioError } from "../errors/vfio-error";
import { VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_PROBE, VFIO_DEVICE_FEATURE_SET } from "../uapi/vfio-numbers";

/** VFIO_DEVICE_FEATURE of one device. `feature` is a `VFIO_DEVICE_FEATURE_*` index. */
export class DeviceFeatures {
  readonly #device: VfioDevice;

  /** Asks the device nothing yet. */
  constructor(device: VfioDevice) {
    this.#device = device;
  }

  /** Asks the kernel, without effect, whether it can read or set the feature (VFIO_DEVICE_FEATURE_PROBE). */
  supports(feature: number, access: "get" | "set"): boolean {
    const flag = access === "get" ? VFIO_DEVICE_FEATURE_GET : VFIO_DEVICE_FEATURE_SET;
    try {
      this.#device.feature(feature | flag | VFIO_DEVICE_FEATURE_PROBE, new Uint8Array(0));
      return true;
    } catch (error) {
      // ENOTTY: the kernel or device lacks the feature. EINVAL: it lacks this access (vfio_check_feature).
      if (error instanceof VfioError && (error.code === "ENOTTY" || error.code === "EINVAL")) return false;
      throw error;
    }
  }

  /**
   * Reads a feature. `structure` is its size in bytes, or its bytes if the kernel reads some of them (the range of
   * VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, for example). `links` is the memory that the structure points to.
   */
  get(feature: number, structure: number | Uint8Array, links: readonly PayloadLink[] = []): Uint8Array {
    const payload = typeof structure === "number" ? new Uint8Array(structure) : structure;
    checkLinks("DeviceFeatures.get", payload, links);
    return this.#device.feature(feature | VFIO_DEVICE_FEATURE_GET, payload, links);
  }

  /** Sets a feature. `links` is the memory that the structure points to. */
  set(feature: number, structure: Uint8Array, links: readonly PayloadLink[] = []): void {
    checkLinks("DeviceFeatures.set", structure, links);
    this.#device.feature(feature | VFIO_DEVICE_FEATURE_SET, structure, links);
  }
}

/** The most links that `native.ioctl` takes. */
const MOST_LINKS = 4;
const LARGEST_LINK = 2 ** 20;
const POINTER_BYTES = 8;

function checkLinks(operation: string, structure: Uint8Array, links: readonly PayloadLink[]): void {
  if (links.length > MOST_LINKS) throw argumentError(operation, "links.length", links.length, `0 to ${MOST_LINKS}`);
  for (const [number, { offset, bytes }] of links.entries()) {
    const last = structure.length - POINTER_BYTES;
    if (!Number.isInteger(offset) || offset < 0 || offset > last || offset % POINTER_BYTES !== 0) {
      const allowed = last < 0 ? "none: the structure is too short" : `multiples of ${POINTER_BYTES} from 0 to ${last}`;
      throw argumentError(operation, `links[${number}].offset`, offset, allowed);
    }
    if (bytes.length < 1 || bytes.length > LARGEST_LINK) {
      throw argumentError(operation, `links[${number}].bytes.length`, bytes.length, `1 to ${LARGEST_LINK}`);
    }
  }
}

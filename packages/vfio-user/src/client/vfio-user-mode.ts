import type { Availability, IommuBackend, IommuMode } from "@vfio-selftests/core";
import { VfioUserBackend } from "./vfio-user-backend";
import type { VfioUserOptions } from "./vfio-user-backend";

/** The sixth mode: devices that are served in user space, without the kernel's VFIO and IOMMU. */
export class VfioUserMode implements IommuMode {
  readonly name = "vfio-user";
  readonly description =
    "devices in user space, by the vfio-user protocol; the kernel's VFIO and IOMMU are not exercised";
  readonly #options: VfioUserOptions;

  constructor(options: VfioUserOptions = {}) {
    this.#options = options;
  }

  /** Sockets are all it needs. */
  availability(): Availability {
    return { available: true };
  }

  open(): IommuBackend {
    return new VfioUserBackend(this.#options);
  }
}

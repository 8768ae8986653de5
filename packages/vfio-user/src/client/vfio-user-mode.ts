import {
  type Availability,
  type IommuBackend,
  type IommuMode,
  type ModeTraits,
  USER_MODE_NAME,
} from "@vfio-selftests/core";
import type { VfioUserOptions } from "./vfio-user-backend";
import { VfioUserBackend } from "./vfio-user-backend";

/** The sixth mode: devices served in user space, without the kernel's VFIO and IOMMU. */
export class VfioUserMode implements IommuMode {
  readonly name = USER_MODE_NAME;
  readonly description =
    "devices in user space, by the vfio-user protocol; the kernel's VFIO and IOMMU are not exercised";
  readonly traits: ModeTraits = { api: "user", mapsRegisters: false, splitsMappings: false, choosesIova: false };
  readonly #options: VfioUserOptions;

  /** `options` are for the address spaces that it opens. */
  constructor(options: VfioUserOptions = {}) {
    this.#options = options;
  }

  /** Sockets are all that the mode needs. */
  availability(): Availability {
    return { available: true };
  }

  resolve(): IommuMode {
    return this;
  }

  open(): IommuBackend {
    return new VfioUserBackend(this.#options);
  }
}

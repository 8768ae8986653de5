import { type Availability, type IommuBackend, type IommuMode, type ModeTraits, VfioError } from "@vfio-selftests/core";
import { existsPath } from "@vfio-selftests/core/sysfs";
import { VFIO_API_VERSION } from "@vfio-selftests/core/uapi";
import { ContainerBackend } from "../container/container-backend";
import { IommufdBackend } from "../iommufd/iommufd-backend";
import { type KernelEnvironment, realKernel } from "../kernel/kernel-calls";
import { KernelFile } from "../kernel/kernel-file";
import { getApiVersion } from "../requests/container";
import { modeAvailability } from "./availability";
import { IOMMUFD_PATH, type ModeEntry } from "./mode-table";

/** One line of the mode table, brought to life. */
export class KernelMode implements IommuMode {
  readonly name: string;
  readonly description: string;
  readonly #entry: ModeEntry;
  readonly #kernel: KernelEnvironment;

  constructor(entry: ModeEntry, kernel: KernelEnvironment = realKernel) {
    this.name = entry.name;
    this.description = entry.description;
    this.#entry = entry;
    this.#kernel = kernel;
  }

  /**
   * Of the kernel's drivers, only type 1 maps device registers. With CONFIG_IOMMUFD_VFIO_CONTAINER, /dev/vfio/vfio is
   * iommufd's, and there is no type 1 driver.
   */
  get traits(): ModeTraits {
    const { traits } = this.#entry;
    const isVfios = traits.container !== undefined && traits.container.path !== IOMMUFD_PATH;
    const mapsRegisters = isVfios && existsPath(this.#kernel.paths.sys("module", "vfio_iommu_type1"));
    return { ...traits, mapsRegisters };
  }

  availability(): Availability {
    return modeAvailability(this.#entry, this.#kernel);
  }

  resolve(): IommuMode {
    return this;
  }

  /** Opens a new, empty address space. Throws the errno of opening the file, with the remedy. */
  open(): IommuBackend {
    const { container } = this.#entry.traits;
    const { mapFiles = false } = this.#entry;
    const file = KernelFile.open(this.#kernel, this.#kernel.paths.dev(...(container?.path ?? IOMMUFD_PATH)));
    if (container === undefined) return new IommufdBackend(file, { mapFiles });
    try {
      requireVersion(file);
    } catch (error) {
      file.close();
      throw error;
    }
    return new ContainerBackend(file, this.name, container.type);
  }
}

function requireVersion(file: KernelFile): void {
  const version = file.make(getApiVersion());
  if (version === VFIO_API_VERSION) return;
  throw new VfioError(`${file.name} has VFIO API version ${version}, not ${VFIO_API_VERSION}`, {
    code: "ERR_NOT_SUPPORTED",
    operation: "VFIO_GET_API_VERSION",
    subject: file.name,
  });
}

import { VfioError } from "@vfio-selftests/core";
import { systemError } from "@vfio-selftests/core/errors";
import { O_RDWR, VFIO_API_VERSION, VFIO_GET_API_VERSION } from "@vfio-selftests/core/uapi";
import type { Availability, IommuBackend, IommuMode } from "@vfio-selftests/core";
import { modeAvailability } from "./availability";
import { ContainerBackend } from "./container-backend";
import { IommufdBackend } from "./iommufd-backend";
import { ioctl, realKernel, type KernelEnvironment } from "./kernel-calls";
import type { ModeEntry } from "./mode-table";

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

  availability(): Availability {
    return modeAvailability(this.#entry, this.#kernel);
  }

  /** A new, empty address space. Errors: the errno of opening the file, with the remedy. */
  open(): IommuBackend {
    const kernel = this.#kernel;
    const { container, mapFiles = false } = this.#entry;
    const path = kernel.paths.dev(...(container?.path ?? ["iommu"]));
    const fd = kernel.calls.open(path, O_RDWR);
    if (fd < 0) throw systemError(fd, "open", { subject: path });
    if (container === undefined) return new IommufdBackend(fd, kernel, { mapFiles });
    try {
      const version = ioctl(kernel, fd, { VFIO_GET_API_VERSION }, path);
      if (version !== VFIO_API_VERSION) {
        throw new VfioError(`${path} has VFIO API version ${version}, not ${VFIO_API_VERSION}`, {
          code: "ENOTSUP",
          operation: "VFIO_GET_API_VERSION",
          subject: path,
        });
      }
    } catch (error) {
      kernel.calls.close(fd);
      throw error;
    }
    return new ContainerBackend(fd, kernel, {
      mode: this.name,
      path,
      type: container.type,
      typeName: container.typeName,
    });
  }
}

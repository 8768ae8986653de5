import type { Availability, ModeTraits } from "@vfio-selftests/core";
import { errnoName, remedyFor } from "@vfio-selftests/core/errors";
import { existsPath, readAttribute } from "@vfio-selftests/core/sysfs";
import { O_RDWR, VFIO_API_VERSION } from "@vfio-selftests/core/uapi";
import { extensionMissing, IOMMU_TYPES } from "../container/group-devices";
import type { KernelEnvironment } from "../kernel/kernel-calls";
import { KernelFile } from "../kernel/kernel-file";
import { checkExtension, getApiVersion } from "../requests/container";
import { IOMMUFD_PATH, type ModeEntry } from "./mode-table";

const AVAILABLE: Availability = { available: true };

/**
 * Whether this kernel and user can use a mode. It opens the mode's file, asks, and closes it. Only opening a device
 * shows whether that device works.
 */
export function modeAvailability(entry: ModeEntry, kernel: KernelEnvironment): Availability {
  const { container } = entry.traits;
  return container === undefined ? iommufdAvailability(kernel) : containerAvailability(container, kernel);
}

function containerAvailability(
  container: NonNullable<ModeTraits["container"]>,
  kernel: KernelEnvironment,
): Availability {
  const path = kernel.paths.dev(...container.path);
  const type = IOMMU_TYPES[container.type];
  return withFile(path, kernel, (file) => {
    const version = file.attempt(getApiVersion());
    if (version !== VFIO_API_VERSION) {
      return unavailable(
        `${path} answers VFIO_GET_API_VERSION with ${version}`,
        `use a kernel with VFIO API version ${VFIO_API_VERSION}`,
      );
    }
    if (file.attempt(checkExtension(type.number)) <= 0) {
      const { message, remedy } = extensionMissing(path, type.name);
      return unavailable(message.split("\n")[0] ?? message, remedy ?? "use another mode");
    }
    if (!existsPath(kernel.paths.sys("class", "vfio"))) {
      return unavailable(
        "this kernel has no VFIO groups",
        "load VFIO (sudo modprobe vfio-pci), or use a kernel with CONFIG_VFIO_GROUP; mode iommufd needs none",
      );
    }
    return AVAILABLE;
  });
}

function iommufdAvailability(kernel: KernelEnvironment): Availability {
  return withFile(kernel.paths.dev(...IOMMUFD_PATH), kernel, () => {
    // The character device class of VFIO's device files. It exists once the vfio module is loaded.
    if (!(readAttribute(kernel.paths.proc("devices")) ?? "").includes("vfio-dev")) {
      return unavailable(
        "this kernel has no VFIO device files",
        "load VFIO (sudo modprobe vfio-pci), or use a kernel with CONFIG_VFIO_DEVICE_CDEV (6.6 or newer); modes on containers need none",
      );
    }
    return AVAILABLE;
  });
}

function withFile(path: string, kernel: KernelEnvironment, ask: (file: KernelFile) => Availability): Availability {
  const fd = kernel.calls.open(path, O_RDWR);
  if (fd < 0) {
    const code = errnoName(-fd);
    const node = path.slice(path.indexOf("/dev/"));
    return unavailable(
      `cannot open ${node}: ${code}`,
      remedyFor("open", code, node) ?? "see the errno's meaning in open(2)",
    );
  }
  using file = new KernelFile(kernel, fd, path);
  return ask(file);
}

function unavailable(reason: string, remedy: string): Availability {
  return { available: false, reason, remedy };
}

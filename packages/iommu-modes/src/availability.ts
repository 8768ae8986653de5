import type { Availability } from "@vfio-selftests/core";
import { errnoName, remedyFor } from "@vfio-selftests/core/errors";
import { existsPath, readAttribute } from "@vfio-selftests/core/sysfs";
import { O_RDWR, VFIO_API_VERSION, VFIO_CHECK_EXTENSION, VFIO_GET_API_VERSION } from "@vfio-selftests/core/uapi";
import { extensionMissing } from "./container-backend";
import type { KernelEnvironment } from "./kernel-calls";
import type { ModeEntry } from "./mode-table";

const AVAILABLE: Availability = { available: true };

/** Whether this kernel and user can use a mode: opens its file, asks, and closes it. Whether a device can is told by opening it. */
export function modeAvailability(entry: ModeEntry, kernel: KernelEnvironment): Availability {
  return entry.container === undefined ? iommufdAvailability(kernel) : containerAvailability(entry.container, kernel);
}

function containerAvailability(
  container: NonNullable<ModeEntry["container"]>,
  kernel: KernelEnvironment,
): Availability {
  const path = kernel.paths.dev(...container.path);
  return withFile(path, kernel, (fd) => {
    const version = kernel.calls.ioctl(fd, VFIO_GET_API_VERSION);
    if (version !== VFIO_API_VERSION) {
      return unavailable(
        `${path} answers VFIO_GET_API_VERSION with ${version}`,
        `use a kernel with VFIO API version ${VFIO_API_VERSION}`,
      );
    }
    if (kernel.calls.ioctl(fd, VFIO_CHECK_EXTENSION, container.type) <= 0) {
      const { message, remedy } = extensionMissing(path, container.typeName);
      return unavailable(message.split("\n")[0] ?? message, remedy ?? "use another mode");
    }
    if (!existsPath(kernel.paths.sys("class", "vfio"))) {
      return unavailable(
        "this kernel has no VFIO groups",
        "load VFIO (modprobe vfio-pci), or use a kernel with CONFIG_VFIO_GROUP; mode iommufd needs none",
      );
    }
    return AVAILABLE;
  });
}

function iommufdAvailability(kernel: KernelEnvironment): Availability {
  return withFile(kernel.paths.dev("iommu"), kernel, () => {
    // A character device class of VFIO's device files, there once the vfio module is loaded.
    if (!(readAttribute(kernel.paths.proc("devices")) ?? "").includes("vfio-dev")) {
      return unavailable(
        "this kernel has no VFIO device files",
        "load VFIO (modprobe vfio-pci), or use a kernel with CONFIG_VFIO_DEVICE_CDEV (6.6 or newer); modes on containers need none",
      );
    }
    return AVAILABLE;
  });
}

function withFile(path: string, kernel: KernelEnvironment, ask: (fd: number) => Availability): Availability {
  const fd = kernel.calls.open(path, O_RDWR);
  if (fd < 0) {
    const code = errnoName(-fd);
    const node = path.slice(path.indexOf("/dev/"));
    return unavailable(
      `cannot open ${node}: ${code}`,
      remedyFor("open", code, node) ?? "see the errno's meaning in open(2)",
    );
  }
  try {
    return ask(fd);
  } finally {
    kernel.calls.close(fd);
  }
}

function unavailable(reason: string, remedy: string): Availability {
  return { available: false, reason, remedy };
}

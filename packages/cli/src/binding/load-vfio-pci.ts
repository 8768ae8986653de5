import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { VfioError } from "@vfio-selftests/core";
import type { SystemPaths } from "@vfio-selftests/core/sysfs";

/** Loads the module vfio-pci where the kernel does not have it yet. ERR_NO_DRIVER: this kernel has none. */
export function loadVfioPci(paths: SystemPaths): void {
  const directory = paths.sys("bus", "pci", "drivers", "vfio-pci");
  if (existsSync(directory)) return;
  spawnSync("modprobe", ["vfio-pci"], { stdio: "ignore" });
  if (existsSync(directory)) return;
  throw new VfioError("the kernel has no driver vfio-pci", {
    code: "ERR_NO_DRIVER",
    operation: "bind",
    remedy: "load it (sudo modprobe vfio-pci), or use a kernel with CONFIG_VFIO_PCI; in a VM: vfio-selftests lab run",
  });
}

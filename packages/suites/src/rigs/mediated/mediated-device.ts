import { randomUUID } from "node:crypto";
import type { IommuMode } from "@vfio-selftests/core";
import { existsPath, linkName, listDirectory, readNumber, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";
import { KernelFile, realKernel } from "@vfio-selftests/iommu-modes";
import { GroupFiles } from "../raw/group-files";

const CARD = ["devices", "virtual", "mtty", "mtty"] as const;

export type Ports = 1 | 2;

/**
 * A mediated device of the kernel's sample driver, a serial card with one or two ports (samples/vfio-mdev/mtty.c): VFIO's way
 * to give away what no IOMMU isolates, and the one device that migrates on every machine.
 */
export class MediatedDevice implements Disposable {
  readonly uuid = randomUUID();
  #removed = false;

  /** Skips the test where the kernel has no such device. */
  constructor(ports: Ports = 1) {
    if (!existsPath(systemPaths.sys(...CARD))) {
      skip({
        reason: "this kernel has no mediated device (CONFIG_SAMPLE_VFIO_MDEV_MTTY)",
        remedy: "a kernel with that option: vfio-selftests lab setup builds one, vfio-selftests lab run boots it",
      });
    }
    systemPaths.write(typeFile(ports, "create"), this.uuid);
  }

  /** How many more devices with so many ports there can be. */
  static available(ports: Ports): number | undefined {
    return readNumber(typeFile(ports, "available_instances"));
  }

  /** A container and the device's group; each step is the test's. */
  group(mode: IommuMode): GroupFiles {
    const number = linkName(this.#path("iommu_group"));
    if (number === undefined) throw new Error(`${this.uuid} is in no group`);
    return new GroupFiles(mode, this.uuid, () => KernelFile.open(realKernel, systemPaths.dev("vfio", number)));
  }

  /** The device's own file. */
  openCdev(): KernelFile {
    const name = listDirectory(this.#path("vfio-dev"))[0];
    if (name === undefined) throw new Error(`${this.uuid} has no file of its own`);
    return KernelFile.open(realKernel, systemPaths.dev("vfio", "devices", name));
  }

  /** Takes the device away; waits until its files are closed. Idempotent. */
  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    systemPaths.write(this.#path("remove"), "1");
  }

  [Symbol.dispose](): void {
    this.remove();
  }

  #path(name: string): string {
    return systemPaths.sys("bus", "mdev", "devices", this.uuid, name);
  }
}

function typeFile(ports: Ports, name: string): string {
  return systemPaths.sys(...CARD, "mdev_supported_types", `mtty-${ports}`, name);
}

import { randomUUID } from "node:crypto";
import type { IommuMode } from "@vfio-selftests/core";
import { existsPath, linkName, listDirectory, readNumber, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip, type SkipReason } from "@vfio-selftests/harness";
import { KernelFile, realKernel } from "@vfio-selftests/iommu-modes";
import { GroupFiles } from "../raw/group-files";

export type Ports = 1 | 2;

/** A kind of mediated devices. */
export interface MediatedType {
  /** The driver's name, which its device in sysfs has, too. */
  readonly driver: string;
  /** The kind's name, without the driver's. */
  readonly name: string;
  /** For a kernel that has no such device. */
  readonly missing: SkipReason;
}

const NO_SERIAL_CARD: SkipReason = {
  reason: "this kernel has no mediated device (CONFIG_SAMPLE_VFIO_MDEV_MTTY)",
  remedy: "a kernel with that option: vfio-selftests lab setup builds one, vfio-selftests lab run boots it",
};

/**
 * The kernel's sample (samples/vfio-mdev/mtty.c): a serial card with so many ports, and the one device that migrates on every
 * machine.
 */
export const SERIAL_CARDS: Readonly<Record<Ports, MediatedType>> = {
  1: { driver: "mtty", name: "1", missing: NO_SERIAL_CARD },
  2: { driver: "mtty", name: "2", missing: NO_SERIAL_CARD },
};

/** A new mediated device: VFIO's way to give away what no IOMMU isolates. */
export class MediatedDevice implements Disposable {
  readonly uuid = randomUUID();
  #removed = false;

  /** Skips the test where the kernel has no such device. */
  constructor(type: MediatedType = SERIAL_CARDS[1]) {
    if (!existsPath(typeFile(type))) skip(type.missing);
    systemPaths.write(typeFile(type, "create"), this.uuid);
  }

  /** How many more such devices there can be. */
  static available(type: MediatedType): number | undefined {
    return readNumber(typeFile(type, "available_instances"));
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

function typeFile({ driver, name }: MediatedType, ...file: string[]): string {
  return systemPaths.sys("devices", "virtual", driver, driver, "mdev_supported_types", `${driver}-${name}`, ...file);
}

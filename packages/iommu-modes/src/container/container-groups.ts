import { closeAll } from "@vfio-selftests/core/backend";
import { Errno } from "@vfio-selftests/core/errors";
import { busyRemedy, groupNotViable, groupPath } from "../kernel/group-diagnosis";
import { KernelFile } from "../kernel/kernel-file";
import { groupStatus, setContainer } from "../requests/container";

interface OpenGroup {
  readonly file: KernelFile;
  devices: number;
}

/** A device's hold on its group. One of the two methods ends it. */
export interface GroupHold {
  readonly file: KernelFile;
  /** The device is closed. */
  release(): void;
  /** The device was not opened after all. The state before the attempt returns. */
  abandon(): void;
}

/**
 * The groups of one container. The kernel lets a group's file be open only once, so devices of one group share it.
 *
 * A group leaves with its last device, except the container's last group: the kernel ends the address space, with all
 * its mappings, when the last group leaves. That group stays until the container is closed, so mappings live as long as
 * the Iommu in every mode.
 */
export class ContainerGroups {
  readonly #container: KernelFile;
  readonly #groups = new Map<number, OpenGroup>();

  constructor(container: KernelFile) {
    this.#container = container;
  }

  get count(): number {
    return this.#groups.size;
  }

  /** Returns a hold on the group. Opens the group and puts it into the container if necessary. */
  acquire(group: number): GroupHold {
    const known = this.#groups.get(group);
    const open = known ?? { file: this.#open(group), devices: 0 };
    this.#groups.set(group, open);
    open.devices++;
    return {
      file: open.file,
      release: () => {
        open.devices--;
        this.#letGo();
      },
      abandon: () => {
        open.devices--;
        // A group from before the attempt may hold the address space, without any device.
        if (known !== undefined) return;
        this.#groups.delete(group);
        open.file.close();
      },
    };
  }

  close(): void {
    const files = [...this.#groups.values()].map(({ file }) => file);
    this.#groups.clear();
    closeAll(
      this.#container.name,
      files.map((file) => () => file.close()),
    );
  }

  #letGo(): void {
    for (const [number, { file, devices }] of this.#groups) {
      if (devices > 0 || this.#groups.size === 1) continue;
      this.#groups.delete(number);
      file.close();
    }
  }

  #open(group: number): KernelFile {
    const { kernel } = this.#container;
    const { paths } = kernel;
    const file = KernelFile.open(kernel, groupPath(group, paths), (result) =>
      result === -Errno.EBUSY ? busyRemedy(group, paths) : undefined,
    );
    try {
      if (!file.ask(groupStatus, file.name)) throw groupNotViable(group, groupStatus.name, paths);
      file.make(setContainer(this.#container.descriptor("VFIO_GROUP_SET_CONTAINER")));
    } catch (error) {
      file.close();
      throw error;
    }
    return file;
  }
}

import { Errno, systemError } from "@vfio-selftests/core/errors";
import {
  O_RDWR,
  VFIO_GROUP_FLAGS_VIABLE,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  vfio_group_status,
} from "@vfio-selftests/core/uapi";
import { busyRemedy, groupNotViable, groupPath } from "./group-diagnosis";
import { ioctl, type KernelEnvironment } from "./kernel-calls";

interface OpenGroup {
  readonly fd: number;
  devices: number;
}

/**
 * The groups of one container. The kernel lets a group's file be open once, so devices of one group share it.
 *
 * A group is let go with its last device, except the container's last group: the kernel ends the address space, with
 * all its mappings, when the last group leaves. That one stays until the container is closed, so that mappings live as
 * long as the Iommu in every mode.
 */
export class ContainerGroups {
  readonly #kernel: KernelEnvironment;
  readonly #containerFd: number;
  readonly #groups = new Map<number, OpenGroup>();

  constructor(kernel: KernelEnvironment, containerFd: number) {
    this.#kernel = kernel;
    this.#containerFd = containerFd;
  }

  /** The group's descriptor, opened and put into the container when it is the first device's. */
  acquire(group: number): number {
    let open = this.#groups.get(group);
    if (open === undefined) {
      open = { fd: this.#open(group), devices: 0 };
      this.#groups.set(group, open);
    }
    open.devices++;
    return open.fd;
  }

  release(group: number): void {
    const open = this.#groups.get(group);
    if (open === undefined) return;
    open.devices--;
    for (const [number, { fd, devices }] of this.#groups) {
      if (devices > 0 || this.#groups.size === 1) continue;
      this.#groups.delete(number);
      this.#kernel.calls.close(fd);
    }
  }

  /** Lets go of a group that no device was opened from. */
  abandon(group: number): void {
    const open = this.#groups.get(group);
    if (open === undefined || --open.devices > 0) return;
    this.#groups.delete(group);
    this.#kernel.calls.close(open.fd);
  }

  get count(): number {
    return this.#groups.size;
  }

  close(): void {
    for (const { fd } of this.#groups.values()) this.#kernel.calls.close(fd);
    this.#groups.clear();
  }

  #open(group: number): number {
    const { calls, paths } = this.#kernel;
    const path = groupPath(group, paths);
    const fd = calls.open(path, O_RDWR);
    if (fd < 0) {
      throw systemError(fd, "open", {
        subject: path,
        ...(fd === -Errno.EBUSY ? { remedy: busyRemedy(group, paths) } : {}),
      });
    }
    try {
      const status = vfio_group_status.allocate();
      vfio_group_status.fields.argsz.set(status, vfio_group_status.size);
      ioctl(this.#kernel, fd, { VFIO_GROUP_GET_STATUS }, path, status.bytes);
      if ((vfio_group_status.fields.flags.get(status) & VFIO_GROUP_FLAGS_VIABLE) === 0) {
        throw groupNotViable(group, "VFIO_GROUP_GET_STATUS", paths);
      }
      const container = new Uint8Array(Int32Array.of(this.#containerFd).buffer);
      ioctl(this.#kernel, fd, { VFIO_GROUP_SET_CONTAINER }, path, container);
    } catch (error) {
      calls.close(fd);
      throw error;
    }
    return fd;
  }
}

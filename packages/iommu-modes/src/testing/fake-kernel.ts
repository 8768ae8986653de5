import { FakeSystem } from "@vfio-selftests/core/testing";
import { Errno } from "@vfio-selftests/core/errors";
import { existsPath, groupBlockers } from "@vfio-selftests/core/sysfs";
import * as uapi from "@vfio-selftests/core/uapi";
import type { KernelCalls, KernelEnvironment } from "../kernel-calls";
import { FakeAddressSpace } from "./fake-address-space";

type Bytes = Uint8Array;
type Reply = number;

/** An open file of the fake kernel. */
type OpenFile =
  | { readonly kind: "container"; space?: FakeAddressSpace; groups: number }
  | { readonly kind: "iommufd"; readonly spaces: Map<number, FakeAddressSpace>; compat?: number; nextId: number }
  | { readonly kind: "group"; readonly group: number; container?: number }
  | { readonly kind: "cdev"; readonly address: string; iommufd?: number; attached?: number }
  | { readonly kind: "device"; readonly address: string };

/**
 * The part of Linux's VFIO and IOMMUFD that the modes rely on, as far as calls and their order go: files, groups that
 * open once, containers without an IOMMU before the first group, IOAS objects. It maps nothing.
 */
export class FakeKernel implements Disposable {
  readonly system = new FakeSystem();
  /** Open files by descriptor. */
  readonly files = new Map<number, OpenFile>();
  /** Every ioctl on a file other than for map and unmap, as `kind 0xrequest`. */
  readonly requests: string[] = [];
  /** Errors to give: by path for open, by request for ioctl (hexadecimal). */
  readonly failures = new Map<string, number>();
  /** The last argument of VFIO_GROUP_GET_DEVICE_FD, and token of VFIO_DEVICE_BIND_IOMMUFD. */
  deviceName = "";
  token: Bytes | undefined;
  memoryLimit = Infinity;
  #nextFd = 100;

  readonly environment: KernelEnvironment = {
    paths: this.system.paths,
    calls: {
      open: (path) => this.#open(path.slice(this.system.root.length)),
      close: (fd) => this.#close(fd),
      ioctl: (fd, request, argument, ...links) => this.#ioctl(fd, request, argument, links),
      bindIoctl: (fd, request, length) => {
        const argument = new ArrayBuffer(length);
        return { argument, call: () => this.#ioctl(fd, request, new Uint8Array(argument), []), close: () => 0 };
      },
      pread: () => -Errno.EIO,
      pwrite: () => -Errno.EIO,
      mapIo: () => -Errno.ENOMEM,
      pageSize: () => 4096,
      getResourceLimit: () => [this.memoryLimit, this.memoryLimit],
    } satisfies KernelCalls,
  };

  constructor() {
    this.system.file("dev/vfio/vfio");
    this.system.file("dev/iommu");
    this.system.file("proc/devices", "Character devices:\n511 vfio-dev\n");
    this.system.directory("sys/class/vfio");
  }

  /** Adds a device bound to vfio-pci. */
  addDevice(address: string, group: number): void {
    const cdev = `vfio${this.system.paths.root.length + Number.parseInt(address.slice(5, 7), 16)}`;
    this.system.pci({ address, group, driver: "vfio-pci", cdev });
    this.system.file(`dev/vfio/${group}`);
    this.system.file(`dev/vfio/devices/${cdev}`, address);
  }

  kinds(): string[] {
    return [...this.files.values()].map(({ kind }) => kind).sort();
  }

  [Symbol.dispose](): void {
    this.system[Symbol.dispose]();
  }

  #add(file: OpenFile): number {
    this.files.set(this.#nextFd, file);
    return this.#nextFd++;
  }

  #open(path: string): number {
    const failure = this.failures.get(path);
    if (failure !== undefined) return -failure;
    if (!existsPath(`${this.system.root}${path}`)) return -Errno.ENOENT;
    if (path === "/dev/vfio/vfio") return this.#add({ kind: "container", groups: 0 });
    if (path === "/dev/iommu") return this.#add({ kind: "iommufd", spaces: new Map(), nextId: 1 });
    if (path.startsWith("/dev/vfio/devices/")) return this.#add({ kind: "cdev", address: this.system.read(path) });
    const group = Number(path.slice("/dev/vfio/".length));
    const open = [...this.files.values()].some((file) => file.kind === "group" && file.group === group);
    return open ? -Errno.EBUSY : this.#add({ kind: "group", group });
  }

  #close(fd: number): number {
    const file = this.files.get(fd);
    if (file === undefined) return -Errno.EBADF;
    this.files.delete(fd);
    if (file.kind === "group" && file.container !== undefined) {
      const container = this.files.get(file.container);
      // The last group takes the address space along.
      if (container?.kind === "container" && --container.groups === 0) delete container.space;
    }
    return 0;
  }

  #ioctl(fd: number, request: number, argument: Bytes | number | bigint | undefined, links: (number | Bytes)[]): Reply {
    const file = this.files.get(fd);
    if (file === undefined) return -Errno.EBADF;
    const failure = this.failures.get(request.toString(16));
    if (failure !== undefined) return -failure;
    const mapping = [
      uapi.VFIO_IOMMU_MAP_DMA,
      uapi.VFIO_IOMMU_UNMAP_DMA,
      uapi.IOMMU_IOAS_MAP,
      uapi.IOMMU_IOAS_UNMAP,
    ] as number[];
    if (!mapping.includes(request)) this.requests.push(`${file.kind} 0x${request.toString(16)}`);
    const bytes = argument instanceof Uint8Array ? argument : new Uint8Array(0);
    switch (file.kind) {
      case "container":
        return this.#containerIoctl(file, request, Number(argument instanceof Uint8Array ? 0 : argument), bytes);
      case "iommufd":
        return this.#iommufdIoctl(file, request, Number(argument instanceof Uint8Array ? 0 : argument), bytes, links);
      case "group":
        return this.#groupIoctl(file, request, bytes);
      case "cdev":
        return this.#cdevIoctl(file, request, bytes, links);
      case "device":
        return deviceIoctl(request, bytes);
    }
  }

  #containerIoctl(file: OpenFile & { kind: "container" }, request: number, value: number, bytes: Bytes): Reply {
    if (request === uapi.VFIO_GET_API_VERSION) return 0;
    if (request === uapi.VFIO_CHECK_EXTENSION) return Number(value === 1 || value === 3);
    if (request === uapi.VFIO_SET_IOMMU) {
      if (file.groups === 0 || file.space !== undefined) return -Errno.EINVAL;
      file.space = new FakeAddressSpace(value === 3);
      return 0;
    }
    return file.space?.type1Ioctl(request, bytes) ?? -Errno.EINVAL;
  }

  #iommufdIoctl(
    file: OpenFile & { kind: "iommufd" },
    request: number,
    value: number,
    bytes: Bytes,
    links: (number | Bytes)[],
  ): Reply {
    if (request === uapi.VFIO_GET_API_VERSION) return 0;
    if (request === uapi.VFIO_CHECK_EXTENSION) return Number(value === 1 || value === 3);
    const compat = file.compat === undefined ? undefined : file.spaces.get(file.compat);
    if (request === uapi.VFIO_SET_IOMMU) {
      if (compat === undefined) return -Errno.ENODEV;
      compat.version2 = value === 3;
      return 0;
    }
    if (request === uapi.IOMMU_IOAS_ALLOC) {
      const id = this.#newSpace(file);
      new DataView(bytes.buffer, bytes.byteOffset).setUint32(uapi.iommu_ioas_alloc.fields.out_ioas_id.offset, id, true);
      return 0;
    }
    if (request === uapi.IOMMU_VFIO_IOAS) return vfioIoas(file, bytes);
    if (request === uapi.IOMMU_DESTROY) {
      const id = uapi.iommu_destroy.fields.id.get(uapi.iommu_destroy.copyOf(bytes));
      const used = [...this.files.values()].some(
        (other) => other.kind === "cdev" && other.attached === id && this.files.get(other.iommufd ?? -1) === file,
      );
      return used ? -Errno.EBUSY : file.spaces.delete(id) ? 0 : -Errno.ENOENT;
    }
    if (request >= uapi.IOMMU_DESTROY) {
      const id = request === uapi.IOMMU_IOAS_MAP ? 8 : 4;
      const space = file.spaces.get(new DataView(bytes.buffer, bytes.byteOffset).getUint32(id, true));
      return space === undefined ? -Errno.ENOENT : space.iommufdIoctl(request, bytes, links);
    }
    return compat?.type1Ioctl(request, bytes) ?? -Errno.ENODEV;
  }

  #newSpace(file: OpenFile & { kind: "iommufd" }): number {
    file.spaces.set(file.nextId, new FakeAddressSpace(true));
    return file.nextId++;
  }

  #groupIoctl(file: OpenFile & { kind: "group" }, request: number, bytes: Bytes): Reply {
    if (request === uapi.VFIO_GROUP_GET_STATUS) {
      const viable = groupBlockers(file.group, this.system.paths).length === 0;
      new DataView(bytes.buffer, bytes.byteOffset).setUint32(4, Number(viable), true);
      return 0;
    }
    if (request === uapi.VFIO_GROUP_SET_CONTAINER) {
      const fd = new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
      const container = this.files.get(fd);
      if (file.container !== undefined) return -Errno.EINVAL;
      if (container?.kind === "container") container.groups++;
      else if (container?.kind === "iommufd") container.compat ??= this.#newSpace(container);
      else return -Errno.EBADFD;
      file.container = fd;
      return 0;
    }
    if (request !== uapi.VFIO_GROUP_GET_DEVICE_FD) return -Errno.ENOTTY;
    this.deviceName = Buffer.from(bytes).toString().replace(/\0$/, "");
    return this.#add({ kind: "device", address: this.deviceName.split(" ")[0] ?? "" });
  }

  #cdevIoctl(file: OpenFile & { kind: "cdev" }, request: number, bytes: Bytes, links: (number | Bytes)[]): Reply {
    if (request === uapi.VFIO_DEVICE_BIND_IOMMUFD) {
      const { fields } = uapi.vfio_device_bind_iommufd;
      const argument = new DataView(bytes.buffer, bytes.byteOffset);
      const bound = [...this.files.values()].some(
        (other) => other.kind === "cdev" && other.address === file.address && other.iommufd !== undefined,
      );
      if (bound) return -Errno.EINVAL;
      file.iommufd = argument.getInt32(fields.iommufd.offset, true);
      argument.setUint32(fields.out_devid.offset, 7, true);
      this.token = links[1] instanceof Uint8Array ? links[1] : undefined;
      return 0;
    }
    if (file.iommufd === undefined) return -Errno.EINVAL;
    if (request === uapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT) {
      file.attached = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true);
      return 0;
    }
    if (request === uapi.VFIO_DEVICE_DETACH_IOMMUFD_PT) {
      delete file.attached;
      return 0;
    }
    return deviceIoctl(request, bytes);
  }
}

function vfioIoas(file: OpenFile & { kind: "iommufd" }, bytes: Bytes): Reply {
  const argument = new DataView(bytes.buffer, bytes.byteOffset);
  const operation = argument.getUint16(8, true);
  if (operation === uapi.IOMMU_VFIO_IOAS_SET) file.compat = argument.getUint32(4, true);
  else if (operation === uapi.IOMMU_VFIO_IOAS_CLEAR) delete file.compat;
  else if (file.compat === undefined) return -Errno.ENODEV;
  else argument.setUint32(4, file.compat, true);
  return 0;
}

/** A device with 9 regions and 5 interrupt indexes. */
function deviceIoctl(request: number, bytes: Bytes): Reply {
  const reply = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  if (request === uapi.VFIO_DEVICE_GET_INFO) {
    reply.set([uapi.VFIO_DEVICE_FLAGS_RESET | uapi.VFIO_DEVICE_FLAGS_PCI, 9, 5], 1);
    return 0;
  }
  if (request === uapi.VFIO_DEVICE_GET_REGION_INFO) {
    const index = reply[2] ?? 0;
    if (index === 8) return -Errno.EINVAL;
    reply[1] =
      uapi.VFIO_REGION_INFO_FLAG_READ |
      uapi.VFIO_REGION_INFO_FLAG_WRITE |
      (index === 0 ? uapi.VFIO_REGION_INFO_FLAG_MMAP : 0);
    reply[4] = index === 7 ? 4096 : index === 0 ? 65536 : 0;
    return 0;
  }
  return request === uapi.VFIO_DEVICE_RESET ? 0 : -Errno.ENOTTY;
}

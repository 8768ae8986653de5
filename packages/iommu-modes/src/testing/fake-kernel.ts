import { Errno } from "@vfio-selftests/core/errors";
import { existsPath, groupBlockers } from "@vfio-selftests/core/sysfs";
import { FakeSystem } from "@vfio-selftests/core/testing";
import * as uapi from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import type { KernelCalls, KernelEnvironment } from "../kernel/kernel-calls";
import { FakeAddressSpace } from "./fake-address-space";
import { FakeDeviceFile } from "./fake-device-file";
import type { FakeFaultQueue } from "./fake-iommufd";
import { FakeIommufd } from "./fake-iommufd";

interface FakeContainer {
  readonly kind: "container";
  space?: FakeAddressSpace;
  groups: number;
}

interface FakeGroup {
  readonly kind: "group";
  readonly group: number;
  container?: FakeContainer | FakeIommufd;
}

interface FakeCdev {
  readonly kind: "cdev";
  readonly address: string;
  readonly id: number;
  iommufd?: FakeIommufd;
}

/** An open file of the fake kernel. */
type OpenFile =
  | FakeContainer
  | FakeIommufd
  | FakeGroup
  | FakeCdev
  | FakeFaultQueue
  | { readonly kind: "device"; readonly address: string };

/** The first file number, beyond any of this process's own. */
const FIRST_DESCRIPTOR = 100_000;
const FIRST_DEVICE_ID = 7;
const MAPPING: readonly number[] = [
  uapi.VFIO_IOMMU_MAP_DMA,
  uapi.VFIO_IOMMU_UNMAP_DMA,
  uapi.IOMMU_IOAS_MAP,
  uapi.IOMMU_IOAS_UNMAP,
];

/**
 * The part of Linux's VFIO and IOMMUFD that the modes rely on: file numbers that are reused at once, groups that open
 * once, containers without an IOMMU before the first group, iommufd's objects, devices with registers and interrupts.
 */
export class FakeKernel implements Disposable {
  readonly system = new FakeSystem();
  /** Open files by descriptor. Several descriptors may share one file. */
  readonly files = new Map<number, OpenFile>();
  /** Every ioctl on a file other than for map and unmap, as `kind 0xrequest`. */
  readonly requests: string[] = [];
  /** Errors to return: by path for open, by request for ioctl (hexadecimal), `bind 0xrequest` for binding one. */
  readonly failures = new Map<string, number>();
  /** The last argument of VFIO_GROUP_GET_DEVICE_FD, and token of VFIO_DEVICE_BIND_IOMMUFD. */
  deviceName = "";
  token: Uint8Array | undefined;
  memoryLimit = Infinity;
  readonly #devices = new Map<string, FakeDeviceFile>();

  readonly environment: KernelEnvironment = {
    paths: this.system.paths,
    calls: {
      open: (path) => this.#open(path.slice(this.system.root.length)),
      close: (fd) => this.#close(fd),
      dup: (fd) => this.#with(fd, (file) => this.#add(file)),
      ioctl: (fd, request, argument, ...links) => this.#ioctl(fd, request, argument, links),
      bindIoctl: (fd, request, length) => this.#bind(fd, request, length),
      read: (fd, into) => this.#with(fd, (file) => (file.kind === "fault queue" ? file.read(into) : -Errno.EINVAL)),
      write: (fd, from) => this.#with(fd, (file) => (file.kind === "fault queue" ? file.write(from) : -Errno.EINVAL)),
      pollBlocking: (fd) => this.#with(fd, (file) => Number(file.kind === "fault queue" && file.pending.length > 0)),
      createPoller: (fd) =>
        this.#with(fd, (file) => (file.kind === "fault queue" ? file.createPoller() : -Errno.EINVAL)),
      pread: (fd, into, offset) => this.#withMemory(fd, (memory) => native.pread(memory, into, offset)),
      pwrite: (fd, from, offset) => this.#withMemory(fd, (memory) => native.pwrite(memory, from, offset)),
      mapIo: (options) => this.#withMemory(options.fd, (memory) => native.mapIo({ ...options, fd: memory })),
      pageSize: () => 4096,
      getResourceLimit: () => [this.memoryLimit, this.memoryLimit],
    } satisfies KernelCalls,
  };

  constructor() {
    this.system.file("dev/vfio/vfio");
    this.system.file("dev/iommu");
    this.system.file("proc/devices", "Character devices:\n511 vfio-dev\n");
    this.system.directory("sys/class/vfio");
    this.system.directory("sys/module/vfio_iommu_type1");
  }

  /** Adds a device bound to vfio-pci. */
  addDevice(address: string, group: number): void {
    const cdev = `vfio${this.system.paths.root.length + Number.parseInt(address.slice(5, 7), 16)}`;
    this.system.pci({ address, group, driver: "vfio-pci", cdev });
    this.system.file(`dev/vfio/${group}`);
    this.system.file(`dev/vfio/devices/${cdev}`, address);
  }

  /** The state that the files of the device at an address share. */
  device(address: string): FakeDeviceFile {
    const known = this.#devices.get(address) ?? new FakeDeviceFile(address);
    this.#devices.set(address, known);
    return known;
  }

  /** Opens a device's file in the way of a group. Returns its number. */
  openDeviceFile(address: string): number {
    return this.#add({ kind: "device", address });
  }

  /** Kinds of the open files, sorted. */
  kinds(): string[] {
    return [...this.files.values()].map(({ kind }) => kind).sort();
  }

  [Symbol.dispose](): void {
    for (const device of this.#devices.values()) device[Symbol.dispose]();
    this.system[Symbol.dispose]();
  }

  /** Takes the lowest free number, as Linux does. */
  #add(file: OpenFile): number {
    let fd = FIRST_DESCRIPTOR;
    while (this.files.has(fd)) fd++;
    this.files.set(fd, file);
    return fd;
  }

  #with<Result>(fd: number, use: (file: OpenFile) => Result): Result | number {
    const file = this.files.get(fd);
    return file === undefined ? -Errno.EBADF : use(file);
  }

  #withMemory<Result>(fd: number, use: (memory: number) => Result): Result | number {
    return this.#with(fd, (file) =>
      file.kind === "device" || file.kind === "cdev"
        ? use(this.device(file.address).memory.descriptor("access"))
        : -Errno.EINVAL,
    );
  }

  #open(path: string): number {
    const failure = this.failures.get(path);
    if (failure !== undefined) return -failure;
    if (!existsPath(`${this.system.root}${path}`)) return -Errno.ENOENT;
    if (path === "/dev/vfio/vfio") return this.#add({ kind: "container", groups: 0 });
    if (path === "/dev/iommu") return this.#add(new FakeIommufd());
    if (path.startsWith("/dev/vfio/devices/")) {
      const devices = new Set([...this.files.values()].filter(({ kind }) => kind === "cdev"));
      return this.#add({ kind: "cdev", address: this.system.read(path), id: FIRST_DEVICE_ID + devices.size });
    }
    const group = Number(path.slice("/dev/vfio/".length));
    const open = [...this.files.values()].some((file) => file.kind === "group" && file.group === group);
    return open ? -Errno.EBUSY : this.#add({ kind: "group", group });
  }

  #close(fd: number): number {
    const file = this.files.get(fd);
    if (file === undefined) return -Errno.EBADF;
    this.files.delete(fd);
    if ([...this.files.values()].includes(file)) return 0;
    if (file.kind === "fault queue") file.isOpen = false;
    if (file.kind === "cdev") file.iommufd?.attached.delete(file.id);
    // The last group takes the address space with it.
    if (file.kind === "group" && file.container?.kind === "container" && --file.container.groups === 0)
      delete file.container.space;
    return 0;
  }

  #bind(fd: number, request: number, length: number): ReturnType<KernelCalls["bindIoctl"]> {
    const failure = this.failures.get(`bind ${request.toString(16)}`);
    if (failure !== undefined) return -failure;
    const argument = new ArrayBuffer(length);
    let closed = false;
    return {
      argument,
      call: () => (closed ? -Errno.EBADF : this.#ioctl(fd, request, new Uint8Array(argument), [])),
      close: () => {
        closed = true;
        return 0;
      },
    };
  }

  #ioctl(
    fd: number,
    request: number,
    argument: Uint8Array | number | bigint | undefined,
    links: (number | Uint8Array)[],
  ): number {
    const file = this.files.get(fd);
    if (file === undefined) return -Errno.EBADF;
    const failure = this.failures.get(request.toString(16));
    if (failure !== undefined) return -failure;
    if (!MAPPING.includes(request)) this.requests.push(`${file.kind} 0x${request.toString(16)}`);
    const bytes = argument instanceof Uint8Array ? argument : new Uint8Array(0);
    const value = Number(argument instanceof Uint8Array ? 0 : argument);
    switch (file.kind) {
      case "container":
        return containerIoctl(file, request, value, bytes);
      case "iommufd":
        return file.ioctl(request, value, bytes, links, (queue) => this.#add(queue));
      case "group":
        return this.#groupIoctl(file, request, bytes);
      case "cdev":
        return this.#cdevIoctl(file, request, bytes, links);
      case "device":
        return this.device(file.address).ioctl(request, bytes);
      case "fault queue":
        return -Errno.ENOTTY;
    }
  }

  #groupIoctl(file: FakeGroup, request: number, bytes: Uint8Array): number {
    if (request === uapi.VFIO_GROUP_GET_STATUS) {
      const viable = groupBlockers(file.group, this.system.paths).length === 0;
      new DataView(bytes.buffer, bytes.byteOffset).setUint32(4, Number(viable), true);
      return 0;
    }
    if (request === uapi.VFIO_GROUP_SET_CONTAINER) {
      const container = this.files.get(new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true));
      if (file.container !== undefined) return -Errno.EINVAL;
      if (container?.kind === "container") container.groups++;
      else if (container?.kind === "iommufd") container.compat ??= container.newSpace();
      else return -Errno.EBADFD;
      file.container = container;
      return 0;
    }
    if (request !== uapi.VFIO_GROUP_GET_DEVICE_FD) return -Errno.ENOTTY;
    this.deviceName = Buffer.from(bytes).toString().replace(/\0$/, "");
    return this.openDeviceFile(this.deviceName.split(" ")[0] ?? "");
  }

  #cdevIoctl(file: FakeCdev, request: number, bytes: Uint8Array, links: (number | Uint8Array)[]): number {
    const argument = new DataView(bytes.buffer, bytes.byteOffset);
    if (request === uapi.VFIO_DEVICE_BIND_IOMMUFD) {
      const { fields } = uapi.vfio_device_bind_iommufd;
      const bound = [...this.files.values()].some(
        (other) => other.kind === "cdev" && other.address === file.address && other.iommufd !== undefined,
      );
      if (bound) return -Errno.EINVAL;
      const iommufd = this.files.get(argument.getInt32(fields.iommufd.offset, true));
      if (iommufd?.kind !== "iommufd") return -Errno.EBADF;
      file.iommufd = iommufd;
      argument.setUint32(fields.out_devid.offset, file.id, true);
      this.token = links[1] instanceof Uint8Array ? links[1] : undefined;
      return 0;
    }
    if (file.iommufd === undefined) return -Errno.EINVAL;
    if (request === uapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT) {
      return file.iommufd.attach(file.id, argument.getUint32(8, true));
    }
    if (request === uapi.VFIO_DEVICE_DETACH_IOMMUFD_PT) {
      file.iommufd.attached.delete(file.id);
      return 0;
    }
    return this.device(file.address).ioctl(request, bytes);
  }
}

function containerIoctl(file: FakeContainer, request: number, value: number, bytes: Uint8Array): number {
  if (request === uapi.VFIO_GET_API_VERSION) return 0;
  if (request === uapi.VFIO_CHECK_EXTENSION) return Number(value === 1 || value === 3);
  if (request === uapi.VFIO_SET_IOMMU) {
    if (file.groups === 0 || file.space !== undefined) return -Errno.EINVAL;
    file.space = new FakeAddressSpace("vfio", value === 3);
    return 0;
  }
  // Only iommufd knows the requests from here on.
  if (request >= uapi.IOMMU_DESTROY) return -Errno.ENOTTY;
  return file.space?.type1Ioctl(request, bytes) ?? -Errno.EINVAL;
}

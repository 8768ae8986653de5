import { readFileSync } from "node:fs";
import { type Availability, VfioError } from "@vfio-selftests/core";
import { closeAll, OwnedDescriptor } from "@vfio-selftests/core/backend";
import { systemError } from "@vfio-selftests/core/errors";
import { native, type NativeMemory } from "@vfio-selftests/native";
import * as uapi from "./uapi";

const KVM_DEVICE = "/dev/kvm";
const O_RDWR = 2;
/** Below 4 GiB and above guest memory. KVM on Intel needs three pages for its real-mode emulation. */
const TSS_ADDRESS = 0xfffbd000n;

const KVM_REMEDY =
  "use a kernel with CONFIG_KVM and a CPU with SVM or VMX (in a VM: nested virtualisation), or run in the lab";

/** An MSI that the interrupt controller delivers: the data that a device would write, and the address. */
export interface MsiMessage {
  /** Bits 0 to 31 of the address. */
  readonly addressLow: number;
  /** Bits 32 to 63 of the address. */
  readonly addressHigh: number;
  /** 32 bits. */
  readonly data: number;
}

/** Whether KVM works here for this package's guests. They are 32-bit, which KVM without SVM or VMX does not run. */
export function kvmAvailability(device = KVM_DEVICE, cpuinfo = "/proc/cpuinfo"): Availability {
  const fd = native.open(device, O_RDWR);
  if (fd < 0) {
    const { code } = systemError(fd, "open");
    return {
      available: false,
      reason: `${device} cannot be opened: ${code}`,
      remedy: code === "EACCES" ? `run as root or join the group of ${device}` : KVM_REMEDY,
    };
  }
  const version = native.ioctl(fd, uapi.Ioctl.KVM_GET_API_VERSION, 0);
  const vm = native.ioctl(fd, uapi.Ioctl.KVM_CREATE_VM, 0);
  if (vm >= 0) native.close(vm);
  native.close(fd);
  if (version !== uapi.API_VERSION || vm < 0) {
    return { available: false, reason: `${device} makes no VM (API version ${version})`, remedy: KVM_REMEDY };
  }
  if (!/^flags\s*:.*\b(?:svm|vmx)\b/m.test(readFileSync(cpuinfo, "utf8"))) {
    return { available: false, reason: `the CPU has neither SVM nor VMX (${cpuinfo})`, remedy: KVM_REMEDY };
  }
  return { available: true };
}

/** A virtual machine with an in-kernel interrupt controller and one slot of memory at guest address 0. */
export class VirtualMachine implements Disposable {
  /** Guest-physical memory. */
  readonly memory: NativeMemory;
  readonly #system: OwnedDescriptor;
  readonly #vm: OwnedDescriptor;

  /** `memorySize` in bytes, a multiple of the page size. Throws VfioError where /dev/kvm cannot be used. */
  constructor(memorySize: number) {
    this.#system = new OwnedDescriptor(
      checked(native.open(KVM_DEVICE, O_RDWR), "open", KVM_DEVICE, KVM_REMEDY),
      KVM_DEVICE,
    );
    const system = this.#system.descriptor("KVM_CREATE_VM");
    let memory: NativeMemory | undefined;
    try {
      const version = native.ioctl(system, uapi.Ioctl.KVM_GET_API_VERSION, 0);
      if (version !== uapi.API_VERSION) {
        throw new VfioError(`KVM speaks API version ${version}, not ${uapi.API_VERSION}`, {
          code: "ERR_KVM_VERSION",
          operation: "KVM_GET_API_VERSION",
          remedy: KVM_REMEDY,
        });
      }
      const vm = checked(native.ioctl(system, uapi.Ioctl.KVM_CREATE_VM, 0), "KVM_CREATE_VM");
      this.#vm = new OwnedDescriptor(vm, "the virtual machine");
      this.#system.adopt(this.#vm);
      checked(native.ioctl(vm, uapi.Ioctl.KVM_SET_TSS_ADDR, TSS_ADDRESS), "KVM_SET_TSS_ADDR");
      checked(native.ioctl(vm, uapi.Ioctl.KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
      enableX2apicRoutes(vm);
      memory = mapGuestMemory(memorySize);
      setMemorySlot(vm, memory);
    } catch (error) {
      this.#system.close();
      memory?.unmap();
      throw error;
    }
    this.memory = memory;
  }

  /** The most vCPUs that this kernel gives one VM. */
  get maxVcpus(): number {
    return native.ioctl(this.#vm.descriptor("KVM_CHECK_EXTENSION"), uapi.Ioctl.KVM_CHECK_EXTENSION, uapi.CAP_MAX_VCPUS);
  }

  /** Makes a vCPU with APIC id `id` and returns its file, which the caller closes. */
  createVcpu(id: number): OwnedDescriptor {
    const name = `vCPU ${id}`;
    const vm = this.#vm.descriptor("KVM_CREATE_VCPU");
    const fd = checked(native.ioctl(vm, uapi.Ioctl.KVM_CREATE_VCPU, id), "KVM_CREATE_VCPU", name);
    const file = new OwnedDescriptor(fd, name);
    try {
      this.#setCpuid(fd);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Bytes of the page or pages that a vCPU shares with user space. */
  get runSize(): number {
    const operation = "KVM_GET_VCPU_MMAP_SIZE";
    return checked(native.ioctl(this.#system.descriptor(operation), uapi.Ioctl[operation], 0), operation);
  }

  /** Replaces the whole routing table. An empty table routes no interrupt anywhere. */
  setMsiRoutes(routes: readonly { readonly gsi: number; readonly message: MsiMessage }[]): void {
    const operation = "KVM_SET_GSI_ROUTING";
    const vm = this.#vm.descriptor(operation);
    const { headerSize, entrySize } = uapi.IrqRouting;
    const table = new Uint8Array(headerSize + routes.length * entrySize);
    const view = new DataView(table.buffer);
    view.setUint32(uapi.IrqRouting.count, routes.length, true);
    routes.forEach(({ gsi, message }, i) => {
      const at = headerSize + i * entrySize;
      view.setUint32(at + uapi.IrqRoutingEntry.gsi, gsi, true);
      view.setUint32(at + uapi.IrqRoutingEntry.type, uapi.IRQ_ROUTING_MSI, true);
      view.setUint32(at + uapi.IrqRoutingEntry.addressLow, message.addressLow, true);
      view.setUint32(at + uapi.IrqRoutingEntry.addressHigh, message.addressHigh, true);
      view.setUint32(at + uapi.IrqRoutingEntry.data, message.data, true);
    });
    checked(native.ioctl(vm, uapi.Ioctl[operation], table), operation, `${routes.length} routes`);
  }

  /** Makes every later write to the eventfd raise the GSI. */
  attachIrqfd(eventfd: number, gsi: number): void {
    this.#irqfd(eventfd, gsi, 0);
  }

  /** Ends what {@link attachIrqfd} began. */
  detachIrqfd(eventfd: number, gsi: number): void {
    this.#irqfd(eventfd, gsi, uapi.IRQFD_FLAG_DEASSIGN);
  }

  /** Delivers one MSI at once, without the routing table. */
  signalMsi(message: MsiMessage): void {
    const operation = "KVM_SIGNAL_MSI";
    const vm = this.#vm.descriptor(operation);
    const argument = new Uint8Array(uapi.Msi.size);
    const view = new DataView(argument.buffer);
    view.setUint32(uapi.Msi.addressLow, message.addressLow, true);
    view.setUint32(uapi.Msi.addressHigh, message.addressHigh, true);
    view.setUint32(uapi.Msi.data, message.data, true);
    checked(native.ioctl(vm, uapi.Ioctl[operation], argument), operation);
  }

  /** An ioctl that nothing here makes; its result or `-errno`. */
  attempt(request: number, argument: Uint8Array | number): number {
    return native.ioctl(this.#vm.descriptor("ioctl"), request, argument);
  }

  /** Close the vCPUs first. Idempotent. */
  close(): void {
    if (this.#system.closed) return;
    closeAll("the virtual machine", [() => this.#system.close(), () => void this.memory.unmap()]);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #irqfd(eventfd: number, gsi: number, flags: number): void {
    const vm = this.#vm.descriptor("KVM_IRQFD");
    const argument = new Uint8Array(uapi.Irqfd.size);
    const view = new DataView(argument.buffer);
    view.setUint32(uapi.Irqfd.fd, eventfd, true);
    view.setUint32(uapi.Irqfd.gsi, gsi, true);
    view.setUint32(uapi.Irqfd.flags, flags, true);
    view.setInt32(uapi.Irqfd.resampleFd, -1, true);
    checked(native.ioctl(vm, uapi.Ioctl.KVM_IRQFD, argument), "KVM_IRQFD", `GSI ${gsi}`);
  }

  /** Gives the vCPU the CPUID that the host supports. KVM refuses x2APIC to a CPU whose CPUID lacks it. */
  #setCpuid(vcpu: number): void {
    const { headerSize, entrySize, maxEntries } = uapi.Cpuid2;
    const cpuid = new Uint8Array(headerSize + entrySize * maxEntries);
    new DataView(cpuid.buffer).setUint32(uapi.Cpuid2.count, maxEntries, true);
    const operation = "KVM_GET_SUPPORTED_CPUID";
    checked(native.ioctl(this.#system.descriptor(operation), uapi.Ioctl[operation], cpuid), operation);
    checked(native.ioctl(vcpu, uapi.Ioctl.KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
  }
}

function enableX2apicRoutes(vm: number): void {
  const argument = new Uint8Array(uapi.EnableCap.size);
  const view = new DataView(argument.buffer);
  view.setUint32(uapi.EnableCap.cap, uapi.CAP_X2APIC_API, true);
  view.setBigUint64(uapi.EnableCap.args, uapi.X2APIC_API_USE_32BIT_IDS | uapi.X2APIC_API_DISABLE_BROADCAST_QUIRK, true);
  checked(native.ioctl(vm, uapi.Ioctl.KVM_ENABLE_CAP, argument), "KVM_ENABLE_CAP", "X2APIC_API");
}

function mapGuestMemory(length: number): NativeMemory {
  const MAP_SHARED = 0x01;
  const MAP_ANONYMOUS = 0x20;
  const memory = native.mapMemory({ fd: -1, length, flags: MAP_SHARED | MAP_ANONYMOUS });
  if (typeof memory === "number") throw systemError(memory, "mmap", { subject: `${length} bytes of guest memory` });
  return memory;
}

function setMemorySlot(vm: number, memory: NativeMemory): void {
  const argument = new Uint8Array(uapi.UserMemoryRegion.size);
  const view = new DataView(argument.buffer);
  view.setBigUint64(uapi.UserMemoryRegion.memorySize, BigInt(memory.length), true);
  view.setBigUint64(uapi.UserMemoryRegion.userAddress, memory.address, true);
  checked(native.ioctl(vm, uapi.Ioctl.KVM_SET_USER_MEMORY_REGION, argument), "KVM_SET_USER_MEMORY_REGION");
}

function checked(result: number, operation: string, subject = "the virtual machine", remedy?: string): number {
  if (result < 0) throw systemError(result, operation, remedy === undefined ? { subject } : { subject, remedy });
  return result;
}

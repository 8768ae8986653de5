import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { native } from "@vfio-selftests/native";
import { outcome } from "../../raw/ask-kernel";
import type { BareVm } from "./kvm";

/** Requests of linux/kvm.h on a VM, and on a device of a VM. */
const KVM_CREATE_DEVICE = 0xc00c_aee0;
const KVM_SET_DEVICE_ATTR = 0x4018_aee1;
const KVM_HAS_DEVICE_ATTR = 0x4018_aee3;
const DEVICE_TYPE_VFIO = 4;

/** The bridge's one group of attributes, and its two attributes. */
export const VFIO_FILE = 1;
export const FILE_ADD = 1;
export const FILE_DEL = 2;

/** KVM's VFIO device, to which a VMM gives the files of its devices. */
export class VfioBridge implements Disposable {
  readonly #file: OwnedDescriptor;

  /** Makes a bridge. Returns its descriptor, or the name of an errno. */
  static attempt(vm: BareVm): number | string {
    const argument = Uint32Array.of(DEVICE_TYPE_VFIO, 0, 0);
    const result = vm.request(KVM_CREATE_DEVICE, new Uint8Array(argument.buffer));
    return result < 0 ? outcome(result) : (argument[1] ?? -1);
  }

  constructor(vm: BareVm) {
    const fd = VfioBridge.attempt(vm);
    if (typeof fd === "string") throw new Error(`KVM_CREATE_DEVICE: ${fd}`);
    this.#file = new OwnedDescriptor(fd, "KVM's VFIO device");
  }

  set(attribute: number, fd: number, group = VFIO_FILE): number | string {
    const value = new Uint8Array(Int32Array.of(fd).buffer);
    return outcome(native.ioctl(this.#fd, KVM_SET_DEVICE_ATTR, attributeOf(group, attribute), 16, value));
  }

  /** An attribute whose value the kernel finds at no address. */
  setWithoutValue(attribute: number): number | string {
    return outcome(native.ioctl(this.#fd, KVM_SET_DEVICE_ATTR, attributeOf(VFIO_FILE, attribute)));
  }

  has(group: number, attribute: number): number | string {
    return outcome(native.ioctl(this.#fd, KVM_HAS_DEVICE_ATTR, attributeOf(group, attribute)));
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }

  get #fd(): number {
    return this.#file.descriptor("KVM device");
  }
}

/** struct kvm_device_attr: flags, group, attribute, and an address, which `native.ioctl` fills in. */
function attributeOf(group: number, attribute: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(24));
  view.setUint32(4, group, true);
  view.setBigUint64(8, BigInt(attribute), true);
  return new Uint8Array(view.buffer);
}

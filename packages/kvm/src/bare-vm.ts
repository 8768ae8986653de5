import { VfioError } from "@vfio-selftests/core";
import type { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { systemError } from "@vfio-selftests/core/errors";
import { native } from "@vfio-selftests/native";
import { MEMORY_SIZE, stackTop } from "./guest-program";
import * as uapi from "./uapi";
import { startVcpu } from "./vcpu-registers";
import { VirtualMachine } from "./virtual-machine";

/** Where the code of {@link BareVm.execute} lies in guest memory. */
const CODE = 0x4000;
/** The port by which it leaves. */
const LEAVE_PORT = 0xf4;
const LEAVE = [0xe6, LEAVE_PORT]; // out leave, al
const MAP_SHARED = 1;

/**
 * A virtual machine for requests of the caller's own making: its interrupt controllers are the kernel's, and it has one
 * vCPU that runs only when it is told to.
 */
export class BareVm implements Disposable {
  readonly #vm = new VirtualMachine(MEMORY_SIZE);
  readonly #vcpu: OwnedDescriptor;

  /** function Object() { [native code] } */
  constructor() {
    try {
      this.#vcpu = this.#vm.createVcpu(0);
    } catch (error) {
      this.#vm.close();
      throw error;
    }
  }

  /** One ioctl on the VM: its result or `-errno`. The kernel may write into bytes. */
  request(request: number, argument: Uint8Array | number): number {
    return this.#vm.attempt(request, argument);
  }

  /**
   * Runs straight-line machine code in flat 32-bit protected mode without interrupts, and returns when the guest has left
   * behind it. Throws when the guest leaves otherwise. The code must not wait for anything: nobody would end the wait.
   */
  execute(code: readonly number[]): void {
    const fd = this.#vcpu.descriptor("KVM_RUN");
    new Uint8Array(this.#vm.memory.buffer).set([...code, ...LEAVE], CODE);
    startVcpu(fd, { entry: CODE, stack: stackTop(0), slot: 0, apic: "xapic" });
    const page = native.mapMemory({ fd, length: this.#vm.runSize, flags: MAP_SHARED });
    if (typeof page === "number") throw systemError(page, "mmap", { subject: "vCPU 0" });
    try {
      const result = native.ioctl(fd, uapi.Ioctl.KVM_RUN, 0);
      if (result < 0) throw systemError(result, "KVM_RUN", { subject: "vCPU 0" });
      const view = new DataView(page.buffer);
      const reason = view.getUint32(uapi.Run.exitReason, true);
      const port = view.getUint16(uapi.Run.io.port, true);
      if (reason === uapi.ExitReason.IO && port === LEAVE_PORT) return;
      throw new VfioError(`the guest left with exit reason ${reason} before its end`, {
        code: "ERR_VCPU",
        operation: "KVM_RUN",
        subject: "vCPU 0",
      });
    } finally {
      // KVM ends the access by which the guest left at the next run, which here goes no further.
      const bytes = new Uint8Array(page.buffer);
      bytes[uapi.Run.immediateExit] = 1;
      native.ioctl(fd, uapi.Ioctl.KVM_RUN, 0);
      bytes[uapi.Run.immediateExit] = 0;
      page.unmap();
    }
  }

  /** Ends the vCPU and frees everything. Idempotent. */
  close(): void {
    this.#vcpu.close();
    this.#vm.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

import { Eventfd, Iommu, PciDevice } from "@vfio-selftests/core";
import { eachMode, fixture, skip } from "@vfio-selftests/harness";
import { deviceFileOf, KernelDevice } from "@vfio-selftests/iommu-modes";
import type { BareVm } from "../rigs/kvm-irq/kvm";
import { FILE_ADD, FILE_DEL, VFIO_FILE, VfioBridge } from "../rigs/kvm-irq/vfio-bridge";
import { withBareVm } from "../rigs/kvm-irq/with-bare-vm";
import type { SuiteTarget } from "../suite-target";

const NO_DESCRIPTOR = 0x7fff_fff0;

/** KVM's bridge to VFIO (virt/kvm/vfio.c). */
export function kvmVfioSuite(target: SuiteTarget): void {
  const withVm = (use: (vm: BareVm) => void): void => withBareVm(target, use);

  fixture("kvm_vfio", target, (address) => {
    eachMode(target, (mode) => {
      const withBridge = (use: (bridge: VfioBridge, file: number, device: PciDevice) => void): void => {
        withVm((vm) => {
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          using bridge = new VfioBridge(vm);
          const { vfio } = device;
          // In container modes the bridge takes the group's file, otherwise the device's.
          const group = vfio instanceof KernelDevice ? vfio.group : undefined;
          use(bridge, (group ?? deviceFileOf(vfio)).descriptor("KVM_DEV_VFIO_FILE_ADD"), device);
        });
      };

      it("takes_a_file_once_and_lets_it_go", () => {
        withBridge((bridge, file) => {
          expect(bridge.set(FILE_DEL, file)).toBe("ENOENT");
          expect(bridge.set(FILE_ADD, file)).toBe(0);
          expect(bridge.set(FILE_ADD, file)).toBe("EEXIST");
          expect(bridge.set(FILE_DEL, file)).toBe(0);
          expect(bridge.set(FILE_DEL, file)).toBe("ENOENT");
          expect(bridge.set(FILE_ADD, file)).toBe(0);
        });
      });

      it("takes_files_of_vfio_only", () => {
        withBridge((bridge) => {
          using eventfd = new Eventfd("no file of VFIO");
          expect(bridge.set(FILE_ADD, eventfd.fd)).toBe("EINVAL");
          expect(bridge.set(FILE_ADD, NO_DESCRIPTOR)).toBe("EBADF");
          expect(bridge.set(FILE_DEL, NO_DESCRIPTOR)).toBe("EBADF");
          expect(bridge.set(FILE_DEL, eventfd.fd)).toBe("ENOENT");
        });
      });

      it("device_works_on_while_the_vm_holds_it", () => {
        withBridge((bridge, file, device) => {
          expect(bridge.set(FILE_ADD, file)).toBe(0);
          const kind = device.interrupts.exclusiveInUse() ?? device.interrupts.msix;
          if (kind.count === 0) skip({ reason: "the device has no MSI-X", remedy: "use a device with MSI-X" });
          kind.enable(0, 1);
          kind.trigger(0);
          expect(kind.vector(0).tryRead()).toBe(1n);
          expect(device.config.vendorId).not.toBe(0xffff);
        });
      });
    });

    describe("bridge", () => {
      it("is_one_in_a_vm_and_has_its_attributes", () => {
        withVm((vm) => {
          using bridge = new VfioBridge(vm);
          expect(VfioBridge.attempt(vm)).toBe("EBUSY");
          expect([bridge.has(VFIO_FILE, FILE_ADD), bridge.has(VFIO_FILE, FILE_DEL)]).toEqual([0, 0]);
          expect(bridge.has(VFIO_FILE, 99)).toBe("ENXIO");
          expect(bridge.has(VFIO_FILE + 1, FILE_ADD)).toBe("ENXIO");
          expect(bridge.set(99, 0)).toBe("ENXIO");
          expect(bridge.set(FILE_ADD, 0, VFIO_FILE + 1)).toBe("ENXIO");
        });
      });
    });
  });
}

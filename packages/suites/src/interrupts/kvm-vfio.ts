import { Eventfd, Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { errnoName } from "@vfio-selftests/core/errors";
import { iommuGroupOf, listDirectory, systemPaths } from "@vfio-selftests/core/sysfs";
import { O_RDWR } from "@vfio-selftests/core/uapi";
import { eachMode, fixture, requireMode, skip } from "@vfio-selftests/harness";
import { deviceFileOf, KernelDevice, type KernelFile } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import type { BareVm } from "../rigs/interrupts/kvm-irq/kvm";
import { FILE_ADD, FILE_DEL, VFIO_FILE, VfioBridge } from "../rigs/interrupts/kvm-irq/vfio-bridge";
import { withBareVm } from "../rigs/interrupts/kvm-irq/with-bare-vm";
import { modesOf } from "../rigs/iommu/modes-of";
import { GroupFiles } from "../rigs/raw/group-files";
import { DeviceFile, IommufdFile } from "../rigs/raw/iommufd-files";
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

    eachMode(target, (mode) => {
      it("device_holds_the_vm_that_its_file_was_given_to", () => {
        withVm((vm) => {
          using file = new LaterDevice(mode, address);
          const before = runningVms();
          expect(before.length).toBeGreaterThan(0);
          {
            using bridge = new VfioBridge(vm);
            expect(bridge.set(FILE_ADD, file.given.descriptor("KVM_DEV_VFIO_FILE_ADD"))).toBe(0);
            file.open();
          }
          vm[Symbol.dispose]();
          // vfio_df_get_kvm_safe, vfio_device_group_get_kvm_safe: until the device is closed.
          expect(runningVms()).toEqual(before);
          file.device?.close();
          expect(runningVms()).toHaveLength(before.length - 1);
        });
      });

      for (const way of ["removed", "closed_its_bridge"] as const) {
        const name = way === "removed" ? "gave_its_file_back" : way;
        it(`device_does_not_hold_a_vm_that_${name}`, () => {
          withVm((vm) => {
            using file = new LaterDevice(mode, address);
            const before = runningVms();
            {
              using bridge = new VfioBridge(vm);
              const fd = file.given.descriptor("KVM_DEV_VFIO_FILE_ADD");
              expect(bridge.set(FILE_ADD, fd)).toBe(0);
              if (way === "removed") expect(bridge.set(FILE_DEL, fd)).toBe(0);
              // kvm_vfio_release, kvm_vfio_file_del: both let go of the file by kvm_vfio_file_free.
              else bridge[Symbol.dispose]();
              file.open();
            }
            vm[Symbol.dispose]();
            expect(runningVms()).toHaveLength(before.length - 1);
          });
        });
      }

      it("vm_holds_the_file_that_it_was_given", () => {
        withVm((vm) => {
          using file = new LaterDevice(mode, address);
          file.open();
          {
            using bridge = new VfioBridge(vm);
            expect(bridge.set(FILE_ADD, file.given.descriptor("KVM_DEV_VFIO_FILE_ADD"))).toBe(0);
            file[Symbol.dispose]();
            expect(LaterDevice.attempt(mode, address)).toBe(mode.traits.api === "iommufd" ? "EINVAL" : "EBUSY");
          }
          expect(LaterDevice.attempt(mode, address)).toBe("ok");
        });
      });
    });

    const [own] = modesOf(target, "iommufd");
    if (own !== undefined) {
      describe("files", () => {
        requireMode(own);

        it("are_told_apart", () => {
          withVm((vm) => {
            using bridge = new VfioBridge(vm);
            using first = new DeviceFile(address);
            using second = new DeviceFile(address);
            const [one, other] = [first, second].map(({ file }) => file.descriptor("KVM_DEV_VFIO_FILE_ADD"));
            const set = (attribute: number, fd = -1) => bridge.set(attribute, fd);
            expect([set(FILE_ADD, one), set(FILE_ADD, other), set(FILE_ADD, one)]).toEqual([0, 0, "EEXIST"]);
            expect([set(FILE_DEL, other), set(FILE_DEL, other)]).toEqual([0, "ENOENT"]);
            expect([set(FILE_ADD, one), set(FILE_DEL, one), set(FILE_DEL, one)]).toEqual(["EEXIST", 0, "ENOENT"]);
          });
        });
      });
    }

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
          expect([bridge.setWithoutValue(FILE_ADD), bridge.setWithoutValue(FILE_DEL)]).toEqual(["EFAULT", "EFAULT"]);
        });
      });
    });
  });
}

/** KVM's VMs, by what debugfs calls them (kvm_create_vm_debugfs). Skips the test where it cannot be read. */
function runningVms(): string[] {
  const vms = listDirectory(systemPaths.sys("kernel", "debug", "kvm"));
  if (vms.length === 0) skip({ reason: "debugfs shows nothing of KVM", remedy: "mount debugfs at /sys/kernel/debug" });
  return vms.filter((name) => /^\d+-\d+$/.test(name)).sort();
}

/** A device whose file, or group's file, a VM can be given before the device is opened by it. */
class LaterDevice implements Disposable {
  /** What KVM takes: the device's own file or its group's. */
  readonly given: KernelFile;
  /** Once it is open. */
  device: KernelFile | undefined;
  readonly #open: () => KernelFile;
  readonly #files: Disposable[];

  /** Opens the device by a mode and closes it again. Returns `ok`, or the name of the errno with which it is refused. */
  static attempt(mode: IommuMode, address: string): string {
    if (mode.traits.api === "iommufd") {
      using device = new DeviceFile(address);
      using iommufd = new IommufdFile();
      return device.bind(iommufd).code;
    }
    const group = native.open(systemPaths.dev("vfio", String(iommuGroupOf(address))), O_RDWR);
    if (group < 0) return errnoName(-group);
    native.close(group);
    return "ok";
  }

  constructor(mode: IommuMode, address: string) {
    if (mode.traits.api === "iommufd") {
      const device = new DeviceFile(address);
      const iommufd = new IommufdFile();
      this.given = device.file;
      this.#files = [device, iommufd];
      this.#open = () => {
        expect(device.bind(iommufd).code).toBe("ok");
        return device.file;
      };
    } else {
      const files = new GroupFiles(mode, address);
      this.given = files.group;
      this.#files = [files];
      this.#open = () => {
        expect([files.setContainer(), files.setIommu()]).toEqual(["ok", "ok"]);
        return files.openDevice();
      };
    }
  }

  open(): void {
    this.device = this.#open();
  }

  [Symbol.dispose](): void {
    this.device?.close();
    for (const file of this.#files) file[Symbol.dispose]();
  }
}

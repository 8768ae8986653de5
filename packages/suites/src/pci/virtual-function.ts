import { Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { existsPath, pciDevice, readAttribute, readNumber, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  defaultMode,
  eachMode,
  fixture,
  GuardedDriver,
  GuardedValue,
  requireMode,
  skip,
} from "@vfio-selftests/harness";
import { requireDeviceFileToken } from "../rigs/kernel/require-device-file";
import { codeOfError } from "../rigs/raw/code-of-error";
import { requireToken } from "../rigs/sriov/require-token";
import { VF_TOKEN } from "../rigs/sriov/vf-token";
import { enableOneVf, enableVfs, vfAddress } from "../rigs/sriov/virtual-functions";
import type { SuiteTarget } from "../suite-target";

const OTHER = "e6e2d4f4-6a06-4b0a-9f3e-0a2f9b2d7f11";
const NO_TOKEN = "00000000-0000-0000-0000-000000000000";
const BAR_0 = 0x10;
const ONES = 0xffff_ffff;
const PMCSR = 4;
const PM_STATE = 3;
const MEM_64_PREFETCH = 0xc;
const SLEEP_MS = 5000;

/** A virtual function in user space: its own state, what vfio-pci emulates for it, and the token of its PF. */
export function virtualFunctionSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_virtual_function", target, (pf) => {
    const powerState = () => readAttribute(systemPaths.pciDevice(pf, "power_state"))?.trim();

    describe("itself", () => {
      requireMode(mode);
      requireToken(mode, pf);
      const vf = enableOneVf(pf);

      const withVf = (use: (device: PciDevice) => void): void => {
        using iommu = new Iommu(mode.open());
        iommu.openDevice(pf, { vfToken: VF_TOKEN });
        using device = PciDevice.open(iommu, vf(), { vfToken: VF_TOKEN });
        use(device);
      };

      it("is_kept_for_the_driver_of_its_pf", () => {
        // vfio_pci_bus_notifier sets the override before a driver can take the function.
        expect(readAttribute(systemPaths.pciDevice(vf(), "driver_override"))?.trim()).toBe("vfio-pci");
      });

      it("has_the_identity_that_the_host_gave_it", () => {
        withVf(({ config }) => {
          // The registers themselves may read as ones (SR-IOV 1.1, section 3.4.1).
          expect([config.vendorId, config.deviceId]).toEqual([
            readNumber(systemPaths.pciDevice(vf(), "vendor")),
            readNumber(systemPaths.pciDevice(vf(), "device")),
          ]);
        });
      });

      it("has_no_intx", () => {
        withVf(({ config, interrupts }) => {
          expect([config.interruptPin, interrupts.intx.count]).toEqual([0, 0]);
        });
      });

      it("memory_enable_bit_is_the_users", () => {
        withVf((device) => {
          const { config } = device;
          expect(config.memoryEnable).toBe(true);
          const bar = device.bars.find(({ mappable }) => mappable);
          if (bar === undefined) skip({ reason: "no BAR of the VF can be mapped", remedy: "use QEMU's igb" });
          const value = bar.read32(0);
          // The bit is the user's own. A VF answers as its PF's SR-IOV capability says (__vfio_pci_memory_enabled).
          config.memoryEnable = false;
          expect([config.memoryEnable, bar.read32(0)]).toEqual([false, value]);
          config.memoryEnable = true;
          expect([config.memoryEnable, bar.read32(0)]).toEqual([true, value]);
        });
      });

      it("bars_are_sized_by_writing_ones", () => {
        withVf(({ config }) => {
          const { resources } = pciDevice(vf());
          for (const { index, size } of resources.filter((each) => each.index < 6 && each.size > 0n)) {
            const offset = BAR_0 + 4 * index;
            config.write32(offset, ONES);
            expect([index, config.read32(offset)]).toEqual([
              index,
              (Number(BigInt.asUintN(32, ~(size - 1n))) | MEM_64_PREFETCH) >>> 0,
            ]);
            config.write32(offset + 4, ONES);
            expect(config.read32(offset + 4)).toBe(ONES);
          }
        });
      });

      it("interrupts_reach_their_eventfds", () => {
        withVf(({ interrupts }) => {
          const { msix } = interrupts;
          if (msix.count === 0) skip({ reason: "the VF has no MSI-X", remedy: "use QEMU's igb" });
          msix.enable(0, msix.count);
          msix.trigger(msix.count - 1);
          expect(msix.enabledVectors.map((vector) => vector.tryRead() ?? 0n)).toEqual(
            msix.enabledVectors.map((_, vector) => (vector === msix.count - 1 ? 1n : 0n)),
          );
        });
      });

      it("reset_keeps_its_configuration", () => {
        withVf((device) => {
          if (!device.info.resettable) skip({ reason: "the VF has no reset", remedy: "use QEMU's igb" });
          device.config.busMaster = true;
          const before = device.config.bytes(0, 64);
          device.reset();
          expect(device.config.bytes(0, 64)).toEqual(before);
        });
      });

      it("pf_stays_awake", () => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, pf, { vfToken: VF_TOKEN });
        const pm = device.config.findCapability(PciCapabilityId.powerManagement);
        if (pm === undefined) skip({ reason: "the PF has no power management", remedy: "use QEMU's igb" });
        // vfio_pci_set_power_state returns EBUSY, which the write does not report.
        device.config.write16(pm.offset + PMCSR, 3);
        expect([powerState(), device.config.read16(pm.offset + PMCSR) & PM_STATE]).toEqual(["D0", 0]);
        device.close();
        expect(readAttribute(systemPaths.pciDevice(pf, "power", "runtime_status"))?.trim()).toBe("active");
      });
    });

    describe("token", () => {
      const vf = enableOneVf(pf);

      eachMode(target, (each) => {
        requireToken(each, pf);
        const opens = (address: string, token?: string) => openingOf(each, address, token);

        it("vf_in_its_pfs_address_space_changes_no_usable_iovas", () => {
          using iommu = new Iommu(each.open());
          using _pf = PciDevice.open(iommu, pf, { vfToken: VF_TOKEN });
          const usable = iommu.iovaRanges();
          expect(usable.length).toBeGreaterThan(0);
          // A second group goes by what the first has left (vfio_iommu_iova_get_copy). Both are behind the same IOMMU.
          using _vf = PciDevice.open(iommu, vf(), { vfToken: VF_TOKEN });
          expect(iommu.iovaRanges()).toEqual(usable);
        });

        it("pf_needs_the_token_while_the_vf_is_open", () => {
          expect(opens(pf, VF_TOKEN)).toBe("ok");
          {
            using iommu = new Iommu(each.open());
            using _vf = PciDevice.open(iommu, vf(), { vfToken: VF_TOKEN });
            expect([opens(pf), opens(pf, OTHER), opens(pf, VF_TOKEN)]).toEqual(["EACCES", "EACCES", "ok"]);
          }
          // While nobody has either open, the next token that opens the PF is the PF's.
          expect([opens(pf), opens(vf(), VF_TOKEN)]).toEqual(["ok", "ok"]);
          expect(opens(pf, OTHER)).toBe("ok");
          expect([opens(vf(), VF_TOKEN), opens(vf(), OTHER), opens(vf())]).toEqual(["EACCES", "ok", "EACCES"]);
        });
      });
    });

    describe("count", () => {
      requireMode(mode);

      it("goes_up_while_the_pfs_user_has_it_in_d3hot", () => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, pf);
        const pm = device.config.findCapability(PciCapabilityId.powerManagement);
        if (pm === undefined) skip({ reason: "the PF has no power management", remedy: "use QEMU's igb" });
        device.config.write16(pm.offset + PMCSR, 3);
        expect(powerState()).toBe("D3hot");
        {
          // A PF must not sleep deeper than its VFs (vfio_pci_core_sriov_configure).
          using _vfs = enableVfs(pf, 1);
          expect([powerState(), device.config.read16(pm.offset + PMCSR) & PM_STATE]).toEqual(["D0", 0]);
        }
        device.config.write16(pm.offset + PMCSR, 3);
        expect(powerState()).toBe("D3hot");
        device.config.write16(pm.offset + PMCSR, 0);
      });

      it("and_token_go_when_the_pf_loses_its_driver", () => {
        if (target.kind !== "lab") {
          skip({ reason: "the test unbinds the device", remedy: "run it in the lab: vfio-selftests lab run" });
        }
        if (mode.traits.api === "iommufd") requireDeviceFileToken(pf);
        const file = systemPaths.pciDevice(pf, "sriov_numvfs");
        {
          using _vfs = enableVfs(pf, 1);
          expect([openingOf(mode, pf, VF_TOKEN), openingOf(mode, vfAddress(pf), VF_TOKEN)]).toEqual(["ok", "ok"]);
          using guarded = new GuardedDriver(pf);
          // vfio_pci_core_unregister_device
          guarded.unbind();
          expect([readNumber(file), existsPath(systemPaths.pciDevice(pf, "virtfn0"))]).toEqual([0, false]);
        }
        using _vfs = enableVfs(pf, 1);
        const tokens = [VF_TOKEN, NO_TOKEN, undefined];
        // vfio_pci_vf_init: nobody knows the token until somebody sets one.
        expect(tokens.map((token) => openingOf(mode, vfAddress(pf), token))).toEqual(tokens.map(() => "EACCES"));
        expect([openingOf(mode, pf, OTHER), openingOf(mode, vfAddress(pf), OTHER)]).toEqual(["ok", "ok"]);
      });

      it("goes_up_and_down", () => {
        const file = systemPaths.pciDevice(pf, "sriov_numvfs");
        if ((readNumber(systemPaths.pciDevice(pf, "sriov_totalvfs")) ?? 0) < 2) {
          skip({ reason: "the device has no two virtual functions", remedy: "use QEMU's igb" });
        }
        if (readAttribute(systemPaths.sys("module", "vfio_pci", "parameters", "enable_sriov"))?.trim() !== "Y") {
          skip({
            reason: "vfio-pci does not let the device enable virtual functions",
            remedy: "vfio_pci.enable_sriov=1",
          });
        }
        using count = new GuardedValue(file);
        const links = () => [0, 1, 2].map((number) => existsPath(systemPaths.pciDevice(pf, `virtfn${number}`)));
        for (let round = 0; round < 2; round++) {
          count.set(2);
          expect([readNumber(file), links()]).toEqual([2, [true, true, false]]);
          count.set(0);
          expect([readNumber(file), links()]).toEqual([0, [false, false, false]]);
        }
        // The PF may sleep again, by itself and by its register (vfio_pci_core_sriov_configure).
        const asleep = () =>
          readAttribute(systemPaths.pciDevice(pf, "power", "runtime_status"))?.trim() === "suspended";
        if (readAttribute(systemPaths.pciDevice(pf, "power", "control"))?.trim() === "auto") {
          pollUntil(asleep, { timeoutMs: SLEEP_MS, what: "the PF to sleep", subject: pf });
        }
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, pf);
        const pm = device.config.findCapability(PciCapabilityId.powerManagement);
        if (pm === undefined) skip({ reason: "the PF has no power management", remedy: "use QEMU's igb" });
        device.config.write16(pm.offset + PMCSR, 3);
        expect(powerState()).toBe("D3hot");
        device.config.write16(pm.offset + PMCSR, 0);
        expect(powerState()).toBe("D0");
      });
    });
  });
}

/** Opens and closes the device. Returns `ok`, or the code of the error. */
function openingOf(mode: IommuMode, address: string, vfToken?: string): string {
  using iommu = new Iommu(mode.open());
  return codeOfError(() => iommu.openDevice(address, vfToken === undefined ? {} : { vfToken }));
}

import { Iommu, PciDevice } from "@vfio-selftests/core";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  IOMMU_GET_HW_INFO,
  IOMMU_HW_CAP_DIRTY_TRACKING,
  IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED,
  iommu_hw_info,
  IOMMU_HW_INFO_FLAG_INPUT_TYPE,
  IOMMU_HW_INFO_TYPE_INTEL_VTD,
  iommu_hw_info_vtd,
  IOMMU_HWPT_ALLOC_PASID,
  struct,
  u8,
} from "@vfio-selftests/core/uapi";
import { fixture, notChecked, requireMode, skip } from "@vfio-selftests/harness";
import { iommufdDeviceOf, iommufdOf } from "@vfio-selftests/iommu-modes";
import { extendedCapabilities } from "../rigs/config-space/physical-capabilities";
import { PhysicalConfig } from "../rigs/config-space/physical-config";
import { modesOf } from "../rigs/iommu/modes-of";
import { requireBrought } from "../rigs/kernel/brought-by-linux";
import { type MockIds, MockRig, words } from "../rigs/mock-iommu/mock-rig";
import {
  IOMMU_HW_INFO_SELFTEST_REGVAL,
  IOMMU_HW_INFO_TYPE_SELFTEST,
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  IOMMU_TEST_OP_PASID_ATTACH,
  IOMMU_TEST_OP_PASID_CHECK_HWPT,
  IOMMU_TEST_OP_PASID_DETACH,
  IOMMU_TEST_OP_PASID_REPLACE,
  mock_domain_replace,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  MOCK_FLAGS_DEVICE_PASID,
  pasid_table,
} from "../rigs/mock-iommu/test-command";
import { VirtualRig } from "../rigs/mock-iommu/virtual-rig";
import { NO_ADDRESS } from "../rigs/raw/ask-kernel";
import { RawIommufd } from "../rigs/raw/raw-iommufd";
import type { SuiteTarget } from "../suite-target";

const UNKNOWN = 0x7fff_fff0;
const PASID = 100;
/** The mock fails the second attachment of this one (IOMMU_TEST_PASID_RESERVED). */
const FAILING_PASID = 1024;
/** The bytes that struct iommu_hw_info reserves, in front of `out_capabilities`. */
const RESERVED = struct(iommu_hw_info.size, {
  ...iommu_hw_info.fields,
  first_reserved: u8(29),
  second_reserved: u8(30),
  third_reserved: u8(31),
});
/** MOCK_PASID_WIDTH in iommufd_test.h. */
const PASID_BITS = 20;
/** PCI Express 6.0, sections 7.8.8 and 7.8.9. */
const EXTENDED = { ats: 0x0f, pasid: 0x1b } as const;
/** include/uapi/linux/iommufd.h */
const IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17 = 1;
/** struct iommu_test_hw_info: flags and a register. */
const INFO = [0, IOMMU_HW_INFO_SELFTEST_REGVAL] as const;
const FILL = 0xa5;

/** Devices in an iommufd: their page tables, with and without PASID, and the information about their IOMMU. */
export function deviceAttachSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  describe("iommufd_device_attach", () => {
    requireMode(mode);

    const withRig = (use: (rig: MockRig) => void): void => {
      using rig = new MockRig(mode);
      use(rig);
    };
    const move = (rig: MockRig, { test }: MockIds, id: number) =>
      rig.test(IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, mock_domain_replace, { id: test, pt_id: id });
    const pasid = (rig: MockRig, op: number, { test }: MockIds, number: number, table = 0) =>
      rig.test(op, pasid_table, { id: test, pasid: number, pt_id: table }).outcome;
    const goesBy = (rig: MockRig, device: MockIds, number: number, table: number) =>
      pasid(rig, IOMMU_TEST_OP_PASID_CHECK_HWPT, device, number, table) === 0;

    it("moves_to_another_table_and_back", () => {
      withRig((rig) => {
        const device = rig.device();
        const table = rig.pageTable(device).need("out_hwpt_id");
        expect(goesBy(rig, device, 0, device.pageTable)).toBe(true);
        expect(move(rig, device, table).need("pt_id")).toBe(table);
        expect([goesBy(rig, device, 0, table), goesBy(rig, device, 0, device.pageTable)]).toEqual([true, false]);
        // A move to the device's present table changes nothing and loses nothing (iommufd_device_do_replace).
        expect(move(rig, device, table).outcome).toBe(0);
        expect(rig.raw.destroy(table)).toBe("EBUSY");
        const back = move(rig, device, rig.ioas).need("pt_id");
        expect(goesBy(rig, device, 0, back)).toBe(true);
        expect(rig.raw.destroy(table)).toBe(0);
      });
    });

    it("stays_where_it_is_when_the_move_is_refused", () => {
      withRig((rig) => {
        const device = rig.device();
        expect(move(rig, device, UNKNOWN).outcome).toBe("ENOENT");
        expect(move(rig, device, device.id).outcome).toBe("EINVAL");
        expect(goesBy(rig, device, 0, device.pageTable)).toBe(true);
      });
    });

    it("is_not_destroyed_by_its_own_number", () => {
      withRig((rig) => {
        const device = rig.device();
        // The driver that bound it is its user.
        expect(rig.raw.destroy(device.id)).toBe("EBUSY");
        expect(rig.raw.destroy(device.test)).toBe(0);
        expect(rig.raw.destroy(device.id)).toBe("ENOENT");
      });
    });

    describe("pasid", () => {
      /** A device with PASIDs, on a page table that allows them, and two more such tables. */
      const withPasids = (use: (rig: MockRig, device: MockIds, first: number, second: number) => void): void => {
        withRig((rig) => {
          const device = rig.device({ flags: MOCK_FLAGS_DEVICE_PASID });
          const make = () => rig.pageTable(device, { flags: IOMMU_HWPT_ALLOC_PASID }).need("out_hwpt_id");
          expect(move(rig, device, make()).outcome).toBe(0);
          use(rig, device, make(), make());
        });
      };
      const attach = IOMMU_TEST_OP_PASID_ATTACH;
      const replace = IOMMU_TEST_OP_PASID_REPLACE;
      const detach = IOMMU_TEST_OP_PASID_DETACH;

      it("attached_replaced_and_detached", () => {
        withPasids((rig, device, first, second) => {
          expect(goesBy(rig, device, PASID, 0)).toBe(true);
          expect(pasid(rig, attach, device, PASID, first)).toBe(0);
          expect([goesBy(rig, device, PASID, first), goesBy(rig, device, PASID, second)]).toEqual([true, false]);
          expect(pasid(rig, attach, device, PASID, second)).toBe("EBUSY");
          expect(pasid(rig, attach, device, PASID, first)).toBe("EBUSY");
          expect(goesBy(rig, device, PASID, first)).toBe(true);
          expect(pasid(rig, replace, device, PASID, second)).toBe(0);
          expect([goesBy(rig, device, PASID, first), goesBy(rig, device, PASID, second)]).toEqual([false, true]);
          expect([rig.raw.destroy(first), rig.raw.destroy(second)]).toEqual([0, "EBUSY"]);
          expect(pasid(rig, detach, device, PASID)).toBe(0);
          expect(goesBy(rig, device, PASID, 0)).toBe(true);
          expect(rig.raw.destroy(second)).toBe(0);
        });
      });

      it("one_does_not_touch_another", () => {
        withPasids((rig, device, first, second) => {
          expect(pasid(rig, attach, device, PASID, first)).toBe(0);
          expect(pasid(rig, attach, device, PASID + 1, second)).toBe(0);
          expect(pasid(rig, detach, device, PASID)).toBe(0);
          expect([goesBy(rig, device, PASID, 0), goesBy(rig, device, PASID + 1, second)]).toEqual([true, true]);
          expect(pasid(rig, detach, device, PASID + 1)).toBe(0);
        });
      });

      it("replaced_only_where_one_is_attached", () => {
        withPasids((rig, device, first) => {
          expect(pasid(rig, replace, device, PASID, first)).toBe("EINVAL");
          expect(goesBy(rig, device, PASID, 0)).toBe(true);
        });
      });

      it("failed_replacement_leaves_the_old_one", () => {
        withPasids((rig, device, first, second) => {
          expect(pasid(rig, attach, device, FAILING_PASID, first)).toBe(0);
          expect(pasid(rig, replace, device, FAILING_PASID, second)).toBe("ENOMEM");
          expect(goesBy(rig, device, FAILING_PASID, first)).toBe(true);
          expect(rig.raw.destroy(second)).toBe(0);
          expect(pasid(rig, detach, device, FAILING_PASID)).toBe(0);
        });
      });

      it("table_must_allow_pasids", () => {
        withPasids((rig, device) => {
          const plain = rig.pageTable(device).need("out_hwpt_id");
          expect(pasid(rig, attach, device, PASID, plain)).toBe("EINVAL");
          expect(goesBy(rig, device, PASID, 0)).toBe(true);
        });
      });

      it("table_nested_in_another_must_allow_them_too", () => {
        withPasids((rig, device) => {
          using virtual = new VirtualRig(rig);
          const viommu = virtual.allocate().need("out_viommu_id");
          // iommufd_viommu_alloc_hwpt_nested, iommufd_hwpt_nested_alloc
          for (const [name, parent] of Object.entries({ viommu, parent: virtual.parent })) {
            const values = { pt_id: parent, data_type: IOMMU_HWPT_DATA_SELFTEST };
            const nested = (flags: number) =>
              rig.pageTable(virtual.device1, { ...values, flags }, words(0, 0)).need("out_hwpt_id");
            const [allows, plain] = [nested(IOMMU_HWPT_ALLOC_PASID), nested(0)];
            const answers = [plain, allows].map((table) => pasid(rig, attach, device, PASID, table));
            expect([name, ...answers]).toEqual([name, "EINVAL", 0]);
            expect(goesBy(rig, device, PASID, allows)).toBe(true);
            expect(pasid(rig, detach, device, PASID)).toBe(0);
          }
        });
      });

      it("device_with_pasids_keeps_to_tables_that_allow_them", () => {
        withPasids((rig, device, first) => {
          const plain = rig.pageTable(device).need("out_hwpt_id");
          expect(pasid(rig, attach, device, PASID, first)).toBe(0);
          expect(move(rig, device, plain).outcome).toBe("EINVAL");
          expect(pasid(rig, detach, device, PASID)).toBe(0);
          expect(move(rig, device, plain).outcome).toBe(0);
          // The other way round, too (iommufd_hwpt_pasid_compat).
          expect(pasid(rig, attach, device, PASID, first)).toBe("EINVAL");
        });
      });
    });

    describe("hardware_info", () => {
      const ask = (rig: MockRig, device: number, room: number, values: object = {}) => {
        const data = new Uint8Array(Math.max(room, 32)).fill(FILL);
        const answer = rig.raw.call(
          { IOMMU_GET_HW_INFO },
          iommu_hw_info,
          { dev_id: device, data_len: room, ...values },
          { data_uptr: data },
        );
        return { ...answer, data };
      };

      it("tells_type_length_and_data", () => {
        withRig((rig) => {
          const { outcome, get, data } = ask(rig, rig.device().id, 8);
          expect([outcome, get("out_data_type"), get("data_len")]).toEqual([0, IOMMU_HW_INFO_TYPE_SELFTEST, 8]);
          expect([...new Uint32Array(data.buffer, 0, 2)]).toEqual([...INFO]);
          expect(data.subarray(8).every((byte) => byte === FILL)).toBe(true);
        });
      });

      it("fills_what_there_is_room_for", () => {
        withRig((rig) => {
          const { id } = rig.device();
          const less = ask(rig, id, 4);
          expect([less.outcome, less.get("data_len")]).toEqual([0, 8]);
          expect([less.data.subarray(0, 4), less.data[4]]).toEqual([Uint8Array.of(0, 0, 0, 0), FILL]);
          const more = ask(rig, id, 20);
          expect([more.outcome, more.get("data_len")]).toEqual([0, 8]);
          expect([...more.data.subarray(8, 20)]).toEqual(new Array(12).fill(0));
          expect(more.data[20]).toBe(FILL);
          const none = ask(rig, id, 0);
          expect([none.outcome, none.get("data_len"), none.data[0]]).toEqual([0, 8, FILL]);
        });
      });

      it("tells_whether_writes_are_tracked", () => {
        withRig((rig) => {
          const tracks = (device: MockIds) =>
            (ask(rig, device.id, 8).get("out_capabilities") & IOMMU_HW_CAP_DIRTY_TRACKING) !== 0;
          expect(tracks(rig.device())).toBe(true);
          const space = rig.door.newIoas().id;
          expect(tracks(rig.device({ attachTo: space, flags: MOCK_FLAGS_DEVICE_NO_DIRTY }))).toBe(false);
        });
      });

      it("tells_how_many_pasids_a_device_has", () => {
        withRig((rig) => {
          const bits = (device: MockIds) => ask(rig, device.id, 8).get("out_max_pasid_log2");
          expect(bits(rig.device())).toBe(0);
          expect(bits(rig.device({ flags: MOCK_FLAGS_DEVICE_PASID }))).toBe(PASID_BITS);
        });
      });

      it("of_a_type_that_is_asked_for", () => {
        withRig((rig) => {
          const { id } = rig.device();
          const flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE;
          expect(ask(rig, id, 8, { flags, out_data_type: IOMMU_HW_INFO_TYPE_SELFTEST }).outcome).toBe(0);
          expect(ask(rig, id, 8, { flags, out_data_type: 0x7777 }).outcome).toBe("EOPNOTSUPP");
          // Without the flag the field is no input.
          expect(ask(rig, id, 8, { out_data_type: 0x7777 }).outcome).toBe(0);
        });
      });

      it("malformed_is_refused", () => {
        withRig((rig) => {
          const { id } = rig.device();
          expect(ask(rig, id, 8, { flags: 2 }).outcome).toBe("EOPNOTSUPP");
          for (const field of ["first_reserved", "second_reserved", "third_reserved"] as const) {
            const answer = rig.raw.call({ IOMMU_GET_HW_INFO }, RESERVED, { dev_id: id, [field]: 1 });
            expect([field, answer.outcome]).toEqual([field, "EOPNOTSUPP"]);
          }
          // Of data and of the room behind them.
          for (const room of [4, 8, 20]) {
            const nowhere = { dev_id: id, data_len: room, data_uptr: NO_ADDRESS };
            const answer = rig.raw.call({ IOMMU_GET_HW_INFO }, iommu_hw_info, nowhere);
            expect([room, answer.outcome]).toEqual([room, "EFAULT"]);
          }
          expect(ask(rig, UNKNOWN, 8).outcome).toBe("ENOENT");
          expect(ask(rig, rig.ioas, 8).outcome).toBe("ENOENT");
        });
      });
    });
  });

  fixture("iommufd_hardware_info", target, (address) => {
    requireMode(mode);

    it("tells_what_a_device_lacks", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      // vfio-pci may hide them (pci_ext_cap_length).
      using physical = new PhysicalConfig(address);
      const ids = extendedCapabilities(physical, device.config.size).map(({ id }) => id);
      const { outcome, get } = new RawIommufd(iommufdOf(iommu).file).call({ IOMMU_GET_HW_INFO }, iommu_hw_info, {
        dev_id: iommufdDeviceOf(device.vfio).id,
      });
      expect(outcome).toBe(0);
      // The IOMMU, too, must allow them, so nothing follows from what a device has.
      if (!ids.includes(EXTENDED.pasid)) expect(get("out_max_pasid_log2")).toBe(0);
      const lacksAts = (get("out_capabilities") & IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED) !== 0;
      if (ids.includes(EXTENDED.ats)) notChecked("that ATS cannot be used", "the device has it");
      else {
        requireBrought("IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED", () => lacksAts);
        expect(lacksAts).toBe(true);
      }
    });

    it("is_the_iommus_of_sysfs", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      const registers = (name: string) =>
        readAttribute(systemPaths.pciDevice(address, "iommu", "intel-iommu", name))?.trim();
      const capability = registers("cap");
      if (capability === undefined) {
        skip({ reason: "the IOMMU is not Intel's", remedy: "vfio-selftests lab run --iommu intel" });
      }
      const data = new Uint8Array(iommu_hw_info_vtd.size);
      const ask = (values: object = {}) =>
        new RawIommufd(iommufdOf(iommu).file).call(
          { IOMMU_GET_HW_INFO },
          iommu_hw_info,
          { dev_id: iommufdDeviceOf(device.vfio).id, data_len: data.length, ...values },
          { data_uptr: data },
        );
      // intel_iommu_hw_info has one type.
      const typed = { flags: IOMMU_HW_INFO_FLAG_INPUT_TYPE, out_data_type: IOMMU_HW_INFO_TYPE_INTEL_VTD };
      requireBrought("IOMMU_HW_INFO_FLAG_INPUT_TYPE", () => ask(typed).outcome !== "EOPNOTSUPP");
      expect(ask(typed).outcome).toBe(0);
      expect(ask({ ...typed, out_data_type: IOMMU_HW_INFO_TYPE_SELFTEST }).outcome).toBe("EOPNOTSUPP");
      const { outcome, get } = ask();
      expect([outcome, get("out_data_type"), get("data_len")]).toEqual([0, IOMMU_HW_INFO_TYPE_INTEL_VTD, data.length]);
      const view = iommu_hw_info_vtd.copyOf(data);
      const { flags, cap_reg, ecap_reg } = iommu_hw_info_vtd.fields;
      // The driver has the user spare every IOMMU read-only mappings under nested tables (Linux 6.6 to 7.3).
      expect(flags.get(view)).toBe(IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17);
      expect([cap_reg.get(view).toString(16), ecap_reg.get(view).toString(16)]).toEqual([
        capability,
        registers("ecap"),
      ]);
    });
  });
}

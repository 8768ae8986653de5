import { DmaMemory, type IovaRange } from "@vfio-selftests/core";
import {
  IOMMU_VFIO_IOAS,
  iommu_vfio_ioas,
  IOMMU_VFIO_IOAS_SET,
  VFIO_IOMMU_GET_INFO,
  vfio_iommu_type1_info,
} from "@vfio-selftests/core/uapi";
import { fixture, requireMode, skip } from "@vfio-selftests/harness";
import { iommufdDeviceOf } from "@vfio-selftests/iommu-modes";
import { DeviceCopier } from "../rigs/dma/copy-rig";
import { Reach } from "../rigs/dma/reach";
import { modesOf } from "../rigs/iommu/modes-of";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { type MockIds, MockRig, words } from "../rigs/mock-iommu/mock-rig";
import {
  check_map,
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_TEST_OP_MD_CHECK_MAP,
  IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
  mock_domain,
} from "../rigs/mock-iommu/test-command";
import { VirtualRig } from "../rigs/mock-iommu/virtual-rig";
import { askKernel } from "../rigs/raw/ask-kernel";
import { DeviceFile, IommufdFile } from "../rigs/raw/iommufd-files";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const SPACE_END = 1n << 64n;
/** The mock IOMMU's addresses (MOCK_APERTURE_START and MOCK_APERTURE_LAST in iommufd_test.h). */
const MOCK_APERTURE: IovaRange = { start: 1n << 24n, last: (1n << 31n) - 1n };
const IOVA = 0x0200_0000n;
/** Addresses that only the device's IOMMU has. */
const BELOW = MOCK_APERTURE.start / 2n;
const ABOVE = MOCK_APERTURE.last + 1n;

/** A PCI device behind its IOMMU and a device behind the kernel's mock IOMMU, attached to one address space. */
interface Both {
  readonly rig: MockRig;
  readonly mock: MockIds;
  readonly copier: DeviceCopier;
  readonly reach: Reach;
}

/** One address space of two IOMMUs of different drivers: what is in it is in both, and it can be only what both can. */
export function twoIommusSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  fixture("iommufd_two_iommus", target, (address) => {
    requireMode(mode);

    const withCopier = (rig: MockRig, use: (copier: DeviceCopier) => void): void => {
      const copier = new DeviceCopier(target, rig.iommu, address, 0);
      try {
        use(copier);
      } finally {
        copier.close();
      }
    };
    const withBoth = (use: (both: Both) => void): void => {
      using rig = new MockRig(mode);
      // First, because the driver's memory must then lie where both reach.
      const mock = rig.device();
      withCopier(rig, (copier) => use({ rig, mock, copier, reach: new Reach(copier) }));
    };
    const holds = ({ rig, mock }: Both, iova: bigint, memory = rig.memory) =>
      rig.test(IOMMU_TEST_OP_MD_CHECK_MAP, check_map, {
        id: mock.pageTable,
        iova,
        length: memory.length,
        uptr: memory.address,
      }).outcome;

    it("a_mapping_is_in_both", () => {
      using rig = new MockRig(mode);
      const mock = rig.device();
      const earlier = rig.iommu.map(rig.memory, { iova: IOVA });
      withCopier(rig, (copier) => {
        const both = { rig, mock, copier, reach: new Reach(copier) };
        const { reach } = both;
        const later = rig.iommu.map(rig.memory, { iova: 2n * IOVA });
        for (const iova of [IOVA, 2n * IOVA]) {
          reach.expectWrite(iova, rig.bytes);
          expect([iova, holds(both, iova)]).toEqual([iova, 0]);
        }
        earlier.unmap();
        reach.expectNoWrite(IOVA, rig.bytes);
        reach.expectWrite(2n * IOVA, rig.bytes);
        expect([holds(both, IOVA), holds(both, 2n * IOVA)]).toEqual(["EINVAL", 0]);
        later.unmap();
        reach.expectNoWrite(2n * IOVA, rig.bytes);
        expect(holds(both, 2n * IOVA)).toBe("EINVAL");
      });
    });

    it("usable_addresses_are_those_of_both", () => {
      withBoth(({ rig, mock }) => {
        const raw = new IommufdFile(rig.door.file);
        const outside = () =>
          rig.door.ioas
            .iovaRanges()
            .filter(({ start, last }) => start < MOCK_APERTURE.start || last > MOCK_APERTURE.last);
        const map = (iova: bigint) => raw.map({ ioas: rig.ioas, vaddr: rig.memory.address, length: PAGE, iova }).code;
        expect(outside()).toEqual([]);
        // iopt_check_iova refuses what a page table reserved.
        expect([BELOW, ABOVE].map(map)).toEqual(["EINVAL", "EINVAL"]);
        expect(rig.raw.destroy(mock.test)).toBe(0);
        expect(outside()).not.toEqual([]);
        expect([BELOW, ABOVE].map(map)).toEqual(["ok", "ok"]);
        for (const iova of [BELOW, ABOVE]) expect(raw.unmap(rig.ioas, iova, PAGE).code).toBe("ok");
      });
    });

    it("page_sizes_of_a_container_are_those_of_both", () => {
      using rig = new MockRig(mode);
      const raw = new IommufdFile(rig.door.file);
      using device = new DeviceFile(address);
      expect(device.bind(raw).code).toBe("ok");
      const stand = { op: IOMMU_VFIO_IOAS_SET, ioas_id: rig.ioas };
      expect(askKernel(raw.file, { IOMMU_VFIO_IOAS }, iommu_vfio_ioas, stand).code).toBe("ok");
      const sizes = () => {
        const { code, view } = askKernel(raw.file, { VFIO_IOMMU_GET_INFO }, vfio_iommu_type1_info, {});
        expect(code).toBe("ok");
        return vfio_iommu_type1_info.fields.iova_pgsizes.get(view);
      };
      // iommufd_get_pagesizes: any page while nobody is there, and never a part of a page.
      expect(sizes()).toBe(SPACE_END - PAGE);
      const mock = rig.device();
      const ofMock = sizes();
      expect(device.attach(rig.ioas).code).toBe("ok");
      const ofBoth = sizes();
      expect(rig.raw.destroy(mock.test)).toBe(0);
      const ofDevice = sizes();
      for (const some of [ofMock, ofBoth, ofDevice]) expect(some & (2n * PAGE - 1n)).toBe(PAGE);
      expect(ofBoth).toBe(ofMock & ofDevice);
      expect(device.detach()).toBe("ok");
      expect(sizes()).toBe(SPACE_END - PAGE);
    });

    it("a_mapping_that_the_other_cannot_have_keeps_it_out", () => {
      using rig = new MockRig(mode);
      withCopier(rig, (copier) => {
        using memory = DmaMemory.allocate(PAGE_SIZE);
        const reach = new Reach(copier);
        const attach = () => rig.test(IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS, mock_domain, { id: rig.ioas }).outcome;
        const raw = new IommufdFile(rig.door.file);
        const before = raw.ranges(rig.ioas, 8);
        const mapped = rig.iommu.map(memory, { iova: BELOW });
        // iopt_table_add_domain reserves what the mock's page table lacks.
        expect(attach()).toBe("EADDRINUSE");
        reach.expectWrite(BELOW, new Uint8Array(memory.buffer));
        mapped.unmap();
        // Nothing of it is left when the second of its two ranges is in use.
        const behind = rig.iommu.map(memory, { iova: ABOVE });
        expect(attach()).toBe("EADDRINUSE");
        expect(raw.ranges(rig.ioas, 8)).toEqual(before);
        behind.unmap();
      });
    });

    // Pages of the mock IOMMU are half as large (iopt_check_iova_alignment).
    const halves: Readonly<
      Record<string, { readonly iova: bigint; readonly address: bigint; readonly length: bigint }>
    > = {
      length: { iova: IOVA, address: 0n, length: PAGE / 2n },
      iova_and_address: { iova: IOVA + PAGE / 2n, address: PAGE / 2n, length: PAGE },
      address: { iova: IOVA, address: PAGE / 2n, length: PAGE },
      iova: { iova: IOVA + PAGE / 2n, address: 0n, length: PAGE },
    };
    for (const [name, { iova, address: offset, length }] of Object.entries(halves)) {
      it(`a_mapping_with_half_a_page_in_its_${name}_keeps_it_out`, () => {
        using rig = new MockRig(mode);
        const raw = new IommufdFile(rig.door.file);
        rig.device();
        using device = new DeviceFile(address);
        expect(device.bind(raw).code).toBe("ok");
        const request = { ioas: rig.ioas, vaddr: rig.memory.address + offset, length, iova };
        const { code } = raw.map(request);
        // The mock's pages, too, must lie at their own boundary in memory.
        if (code === "EINVAL") skip({ reason: "the mock IOMMU cannot map it either", remedy: "see the other tests" });
        expect(code).toBe("ok");
        expect(device.attach(rig.ioas).code).toBe("EADDRINUSE");
        expect(raw.unmap(rig.ioas, iova, length)).toEqual({ code: "ok", length });
        expect(device.attach(rig.ioas).code).toBe("ok");
        // Now both need whole pages.
        expect(raw.map(request).code).toBe("EINVAL");
        expect(device.detach()).toBe("ok");
      });
    }

    it("what_belongs_to_one_is_refused_to_a_device_of_the_other", () => {
      using rig = new MockRig(mode);
      using device = new DeviceFile(address);
      using virtual = new VirtualRig(rig);
      const { id } = device.bind(new IommufdFile(rig.door.file));
      const foreign = { id, test: 0, pageTable: 0 };
      const viommu = virtual.allocate().need("out_viommu_id");
      const nested = { data_type: IOMMU_HWPT_DATA_SELFTEST, flags: 0 };
      // iommufd_vdevice_alloc_ioctl, iommufd_hwpt_alloc, iommufd_hwpt_nested_alloc
      expect(virtual.device(viommu, foreign, 1).outcome).toBe("EINVAL");
      expect(rig.pageTable(foreign, { ...nested, pt_id: viommu }, words(0, 0)).outcome).toBe("EINVAL");
      // An IOMMU's driver without nesting knows no such request at all.
      const inParent = rig.pageTable(foreign, { ...nested, pt_id: virtual.parent }, words(0, 0)).outcome;
      expect(["EINVAL", "EOPNOTSUPP"]).toContain(inParent);
      // The mock device may have them all.
      expect(virtual.device(viommu, virtual.device1, 1).outcome).toBe(0);
      expect(rig.pageTable(virtual.device1, { ...nested, pt_id: viommu }, words(0, 0)).outcome).toBe(0);
    });

    it("page_table_of_one_is_refused_to_a_device_of_the_other_and_reserves_nothing", () => {
      using rig = new MockRig(mode);
      const raw = new IommufdFile(rig.door.file);
      using device = new DeviceFile(address);
      expect(device.bind(raw).code).toBe("ok");
      const mock = rig.device();
      // iommufd_hw_pagetable_attach: the device's reserved ranges came first, and go again. Not from another page table, because
      // the kernel may then hang (docs/kernel-findings/replace-by-foreign-page-table.md).
      expect(device.attach(mock.pageTable).code).toBe("EINVAL");
      expect(rig.raw.destroy(mock.test)).toBe(0);
      expect(raw.ranges(rig.ioas, 8).ranges).toEqual([{ start: 0n, last: SPACE_END - 1n }]);
      expect(device.attach(rig.ioas).code).toBe("ok");
      expect(device.detach()).toBe("ok");
    });

    it("one_leaves_and_the_other_keeps_its_mappings", () => {
      withBoth((both) => {
        const { rig, mock, copier, reach } = both;
        using second = DmaMemory.allocate(PAGE_SIZE);
        const tie = iommufdDeviceOf(copier.device.vfio);
        const first = rig.iommu.map(rig.memory, { iova: IOVA });
        copier.session.remove();
        tie.detach();
        expect(holds(both, IOVA)).toBe(0);
        const alone = rig.iommu.map(second, { iova: 2n * IOVA });
        expect(holds(both, 2n * IOVA, second)).toBe(0);
        tie.attach(rig.door.ioas);
        copier.session.create();
        // The device finds what came while it was away.
        reach.expectWrite(2n * IOVA, new Uint8Array(second.buffer));
        expect(rig.raw.destroy(mock.test)).toBe(0);
        reach.expectWrite(IOVA, rig.bytes);
        first.unmap();
        reach.expectNoWrite(IOVA, rig.bytes);
        alone.unmap();
      });
    });
  });
}

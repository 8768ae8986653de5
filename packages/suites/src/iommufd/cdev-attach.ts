import { DmaMemory } from "@vfio-selftests/core";
import {
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  vfio_device_attach_iommufd_pt,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  vfio_device_detach_iommufd_pt,
  VFIO_DEVICE_GET_INFO,
  vfio_device_info,
} from "@vfio-selftests/core/uapi";
import { skip } from "@vfio-selftests/harness";
import { ECAP, intelExtendedCapabilities } from "../rigs/iommu/intel-capabilities";
import { deviceTables } from "../rigs/iommu/intel-context";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { pinnedPages } from "../rigs/memory/pinned-pages";
import { expectAnswers } from "../rigs/raw/answer-table";
import { askKernel } from "../rigs/raw/ask-kernel";
import { DeviceFile, IommufdFile, NO_SUCH_ID } from "../rigs/raw/iommufd-files";

const IOVA = 0x4000_0000n;

/** A bound device in an address space: attached, moved, detached, and what that pins and reserves. */
export function cdevAttachTests(address: string): void {
  it("attach_gives_the_page_table_and_detach_lets_go", () => {
    using iommufd = new IommufdFile();
    using device = new DeviceFile(address);
    const { id: deviceId } = device.bind(iommufd);
    const ioas = iommufd.newIoas();
    const attached = device.attach(ioas);
    expect(attached.code).toBe("ok");
    expect([ioas, deviceId, 0]).not.toContain(attached.id);
    // The kernel destroys nothing that is in use (iommufd_object_remove).
    expect([attached.id, ioas, deviceId].map((id) => iommufd.destroy(id))).toEqual(["EBUSY", "EBUSY", "EBUSY"]);
    // The same page table for the same address space, as often as asked for.
    expect(device.attach(ioas)).toEqual(attached);
    expect(device.attach(attached.id)).toEqual(attached);
    expect(device.detach()).toBe("ok");
    // The kernel's own page table ends with its last device.
    expect(iommufd.destroy(attached.id)).toBe("ENOENT");
    expect(device.detach()).toBe("ok");
    expect(iommufd.destroy(ioas)).toBe("ok");
    expect(device.attach(ioas).code).toBe("ENOENT");
  });

  it("attach_refuses_what_it_must", () => {
    using iommufd = new IommufdFile();
    using device = new DeviceFile(address);
    const { id: deviceId } = device.bind(iommufd);
    const ioas = iommufd.newIoas();
    const good = { said: 12, flags: 0, pt_id: ioas };
    expectAnswers(
      {
        size_of_structure_too_small: [{ ...good, said: 11 }, "EINVAL"],
        unknown_flag: [{ ...good, flags: 2 }, "EINVAL"],
        pasid_without_room: [{ ...good, flags: 1 }, "EINVAL"],
        no_object: [{ ...good, pt_id: NO_SUCH_ID }, "ENOENT"],
        object_0: [{ ...good, pt_id: 0 }, "ENOENT"],
        a_device: [{ ...good, pt_id: deviceId }, "EINVAL"],
        an_address_space: [good, "ok"],
      },
      ({ said, flags, pt_id }) =>
        askKernel(
          device.file,
          { VFIO_DEVICE_ATTACH_IOMMUFD_PT },
          vfio_device_attach_iommufd_pt,
          { flags, pt_id },
          { said },
        ).code,
    );
    // A failed attachment leaves the one before.
    expect(device.attach(NO_SUCH_ID).code).toBe("ENOENT");
    expect(iommufd.destroy(ioas)).toBe("EBUSY");
    expectAnswers(
      {
        size_of_structure_too_small: [{ said: 7, flags: 0 }, "EINVAL"],
        unknown_flag: [{ said: 8, flags: 2 }, "EINVAL"],
        pasid_without_room: [{ said: 8, flags: 1 }, "EINVAL"],
      },
      ({ said, flags }) =>
        askKernel(device.file, { VFIO_DEVICE_DETACH_IOMMUFD_PT }, vfio_device_detach_iommufd_pt, { flags }, { said })
          .code,
    );
    expect(iommufd.destroy(ioas)).toBe("EBUSY");
  });

  it("moves_between_address_spaces_and_frees_the_one_it_leaves", () => {
    using iommufd = new IommufdFile();
    using device = new DeviceFile(address);
    device.bind(iommufd);
    const [first, second] = [iommufd.newIoas(), iommufd.newIoas()];
    const inFirst = device.attach(first);
    const inSecond = device.attach(second);
    expect([inFirst.code, inSecond.code]).toEqual(["ok", "ok"]);
    expect(inSecond.id).not.toBe(inFirst.id);
    expect([iommufd.destroy(inFirst.id), iommufd.destroy(first), iommufd.destroy(second)]).toEqual([
      "ENOENT",
      "ok",
      "EBUSY",
    ]);
  });

  it("reserved_iovas_come_with_the_device_and_go_with_it", () => {
    using iommufd = new IommufdFile();
    using device = new DeviceFile(address);
    device.bind(iommufd);
    const ioas = iommufd.newIoas();
    const whole = [{ start: 0n, last: (1n << 64n) - 1n }];
    expect(iommufd.ranges(ioas, 8).ranges).toEqual(whole);
    device.attach(ioas);
    expect(iommufd.ranges(ioas, 8).ranges).not.toEqual(whole);
    const other = iommufd.newIoas();
    device.attach(other);
    expect(iommufd.ranges(ioas, 8).ranges).toEqual(whole);
    expect(iommufd.ranges(other, 8).ranges).not.toEqual(whole);
    device.detach();
    expect(iommufd.ranges(other, 8).ranges).toEqual(whole);
  });

  it("reaches_nothing_while_it_is_bound_and_not_attached", () => {
    const tables = () => {
      const answer = deviceTables(address);
      if (answer.readable) return answer.tables;
      skip({ reason: answer.reason, remedy: "use the lab with an Intel IOMMU: vfio-selftests lab run --iommu intel" });
    };
    const before = tables();
    expect(before).toHaveLength(1);
    {
      using iommufd = new IommufdFile();
      using device = new DeviceFile(address);
      const [first, second] = [iommufd.newIoas(), iommufd.newIoas()];
      // Not even the host's table, whatever is in it (iommu_device_claim_dma_owner, __iommu_group_set_core_domain).
      expect([device.bind(iommufd).code, tables()]).toEqual(["ok", []]);
      expect(device.attach(first).code).toBe("ok");
      const inFirst = tables();
      expect(device.attach(second).code).toBe("ok");
      const inSecond = tables();
      expect(new Set([...before, ...inFirst, ...inSecond]).size).toBe(3);
      expect([device.detach(), tables()]).toEqual(["ok", []]);
      expect([device.attach(first).code, tables().length]).toEqual(["ok", 1]);
    }
    // The host has its device again (__iommu_release_dma_ownership).
    expect(tables()).toEqual(before);
  });

  it("pages_are_pinned_while_a_device_is_attached", () => {
    using iommufd = new IommufdFile();
    using device = new DeviceFile(address);
    using memory = DmaMemory.allocate(4 * PAGE_SIZE);
    device.bind(iommufd);
    const ioas = iommufd.newIoas();
    const before = pinnedPages();
    const steps = {
      mapped: () => iommufd.map({ ioas, vaddr: memory.address, length: 4 * PAGE_SIZE, iova: IOVA }).code,
      attached: () => device.attach(ioas).code,
      attached_again: () => device.attach(ioas).code,
      detached: () => device.detach(),
      attached_after_that: () => device.attach(ioas).code,
      unmapped: () => iommufd.unmap(ioas, IOVA, BigInt(4 * PAGE_SIZE)).code,
    };
    // iopt_fill_domain, iopt_unfill_domain
    const pinned = Object.entries(steps).map(([name, take]) => [name, take(), pinnedPages() - before]);
    expect(pinned).toEqual([
      ["mapped", "ok", 0],
      ["attached", "ok", 4],
      ["attached_again", "ok", 4],
      ["detached", "ok", 0],
      ["attached_after_that", "ok", 4],
      ["unmapped", "ok", 0],
    ]);
  });

  it("keeps_what_is_mapped_until_every_file_is_closed", () => {
    using memory = DmaMemory.allocate(2 * PAGE_SIZE);
    const before = pinnedPages();
    const iommufd = new IommufdFile();
    using device = new DeviceFile(address);
    expect(device.bind(iommufd).code).toBe("ok");
    const ioas = iommufd.newIoas();
    expect(device.attach(ioas).code).toBe("ok");
    expect(iommufd.map({ ioas, vaddr: memory.address, length: 2 * PAGE_SIZE, iova: IOVA }).code).toBe("ok");
    iommufd[Symbol.dispose]();
    // The device holds its iommufd (iommufd_device_bind).
    expect(pinnedPages() - before).toBe(2);
    expect(askKernel(device.file, { VFIO_DEVICE_GET_INFO }, vfio_device_info, {}).code).toBe("ok");
    device.file.close();
    expect(pinnedPages() - before).toBe(0);
  });

  it("mappings_in_the_way_of_reserved_iovas_keep_the_device_out", () => {
    using iommufd = new IommufdFile();
    using device = new DeviceFile(address);
    using memory = DmaMemory.allocate(PAGE_SIZE);
    device.bind(iommufd);
    const probe = iommufd.newIoas();
    device.attach(probe);
    const usable = iommufd.ranges(probe, 8).ranges;
    device.detach();
    const ends = usable.map(({ last }) => last + 1n).filter((end) => end < 1n << 64n);
    for (const iova of ends) {
      const ioas = iommufd.newIoas();
      const request = { ioas, vaddr: memory.address, length: PAGE_SIZE, iova };
      expect(iommufd.map(request).code).toBe("ok");
      // iopt_reserve_iova
      expect(device.attach(ioas).code).toBe("EADDRINUSE");
      // Those that came before it are free again (iopt_table_enforce_dev_resv_regions).
      expect(iommufd.ranges(ioas, 8).ranges).toEqual([{ start: 0n, last: (1n << 64n) - 1n }]);
      expect(iommufd.unmap(ioas, iova, BigInt(PAGE_SIZE)).code).toBe("ok");
      expect(iommufd.allow(ioas, [{ start: iova, last: iova + 0xfffn }])).toBe("ok");
      expect(device.attach(ioas).code).toBe("EADDRINUSE");
      expect(iommufd.allow(ioas, [])).toBe("ok");
      expect(device.attach(ioas).code).toBe("ok");
      expect(iommufd.map(request).code).toBe("EINVAL");
      expect(iommufd.allow(ioas, [{ start: iova, last: iova + 0xfffn }])).toBe("EADDRINUSE");
      expect(device.detach()).toBe("ok");
      expect(iommufd.destroy(ioas)).toBe("ok");
    }
  });

  it("page_tables_of_the_tests_own", () => {
    using iommufd = new IommufdFile();
    using device = new DeviceFile(address);
    using memory = DmaMemory.allocate(PAGE_SIZE);
    const { id: deviceId } = device.bind(iommufd);
    const ioas = iommufd.newIoas();
    // iommufd_hwpt_alloc
    const refused = {
      no_device: [{ device: NO_SUCH_ID, of: ioas, flags: 0 }, "ENOENT"],
      an_address_space_for_a_device: [{ device: ioas, of: ioas, flags: 0 }, "ENOENT"],
      of_nothing: [{ device: deviceId, of: NO_SUCH_ID, flags: 0 }, "EINVAL"],
      of_a_device: [{ device: deviceId, of: deviceId, flags: 0 }, "EINVAL"],
      unknown_flag: [{ device: deviceId, of: ioas, flags: 1 << 4 }, "EOPNOTSUPP"],
      last_flag: [{ device: deviceId, of: ioas, flags: 1 << 31 }, "EOPNOTSUPP"],
    } as const;
    expectAnswers(refused, ({ device: id, of, flags }) => iommufd.newPageTable(id, of, flags).code);
    expect(iommufd.destroy(ioas)).toBe("ok");

    const again = iommufd.newIoas();
    const table = iommufd.newPageTable(deviceId, again);
    expect(table.code).toBe("ok");
    expect(iommufd.destroy(again)).toBe("EBUSY");
    const attached = device.attach(table.id);
    expect(attached).toEqual({ code: "ok", id: table.id });
    expect(iommufd.destroy(table.id)).toBe("EBUSY");
    const request = { ioas: again, vaddr: memory.address, length: PAGE_SIZE, iova: IOVA };
    expect(iommufd.map(request).code).toBe("ok");
    expect(device.detach()).toBe("ok");
    // The user's page table stays until the user destroys it, and mappings outlive it.
    expect(iommufd.destroy(table.id)).toBe("ok");
    expect(iommufd.destroy(table.id)).toBe("ENOENT");
    expect(iommufd.unmap(again, IOVA, BigInt(PAGE_SIZE))).toEqual({ code: "ok", length: BigInt(PAGE_SIZE) });
    expect(iommufd.destroy(again)).toBe("ok");
  });

  it("tables_for_nesting_are_made_where_the_iommu_can_nest", () => {
    const [capabilities, ...others] = intelExtendedCapabilities();
    if (capabilities === undefined) {
      skip({ reason: "the machine has no Intel IOMMU", remedy: "vfio-selftests lab run --iommu intel" });
    }
    const needed = ECAP.scalableMode | ECAP.nesting;
    if ([capabilities, ...others].some((unit) => (unit & needed) === needed)) {
      skip({
        reason: "an IOMMU can nest if the kernel lets it be in scalable mode",
        remedy: "vfio-selftests lab run --iommu intel",
      });
    }
    using iommufd = new IommufdFile();
    using device = new DeviceFile(address);
    const { id: deviceId } = device.bind(iommufd);
    const ioas = iommufd.newIoas();
    const make = (flags: number) => iommufd.newPageTable(deviceId, ioas, flags).code;
    // intel_iommu_domain_alloc_second_stage
    expectAnswers(
      {
        plain: [0, "ok"],
        parent: [IOMMU_HWPT_ALLOC_NEST_PARENT, "EOPNOTSUPP"],
        parent_for_pasids: [IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_PASID, "EOPNOTSUPP"],
      },
      make,
    );
  });
}

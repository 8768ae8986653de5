import { IOMMU_IOAS_MAP_FIXED_IOVA, IOMMU_IOAS_MAP_READABLE } from "@vfio-selftests/core/uapi";
import { requireMode } from "@vfio-selftests/harness";
import { modesOf } from "../rigs/iommu/modes-of";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { KernelAccess } from "../rigs/mock-iommu/kernel-access";
import { MockRig } from "../rigs/mock-iommu/mock-rig";
import {
  create_access,
  IOMMU_TEST_OP_CREATE_ACCESS,
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES,
  MOCK_FLAGS_ACCESS_WRITE,
} from "../rigs/mock-iommu/test-command";
import { IommufdFile } from "../rigs/raw/iommufd-files";
import { ReadOnlyArgument } from "../rigs/raw/read-only-argument";
import type { SuiteTarget } from "../suite-target";

const IOVA = 0x0200_0000n;
const UNKNOWN = 0x7fff_fff0;
/** How the kernel copies: as the process itself does, or by pages that it pins. */
const PATHS = [
  ["", 0],
  ["_page_by_page", MOCK_ACCESS_RW_SLOW_PATH],
] as const;

/** The kernel's own access to an IOAS (reads, writes, pinned pages), as mediated devices have it. The mock device asks for it. */
export function kernelAccessSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  describe("iommufd_kernel_access", () => {
    requireMode(mode);

    const withAccess = (use: (access: KernelAccess, rig: MockRig) => void, flags = 0): void => {
      using rig = new MockRig(mode);
      using access = new KernelAccess(rig, flags);
      use(access, rig);
    };

    for (const [name, slow] of PATHS) {
      it(`reads_and_writes${name}`, () => {
        withAccess((access, rig) => {
          rig.iommu.map(rig.memory, { iova: IOVA });
          rig.bytes.forEach((_, at) => (rig.bytes[at] = at * 7));
          for (const [offset, length] of [
            [0, 1],
            [5, 10],
            [PAGE_SIZE - 3, 6],
            [100, 3 * PAGE_SIZE],
            [0, 4 * PAGE_SIZE],
          ] as const) {
            const read = access.read(IOVA + BigInt(offset), length, slow);
            expect([offset, read.outcome]).toEqual([offset, 0]);
            expect(Buffer.from(read.bytes).equals(rig.bytes.subarray(offset, offset + length))).toBe(true);
            const expected = Buffer.from(rig.bytes);
            expected.fill(offset % 251, offset, offset + length);
            expect(access.write(IOVA + BigInt(offset), Buffer.alloc(length, offset % 251), slow)).toBe(0);
            expect(expected.equals(rig.bytes)).toBe(true);
          }
        });
      });
    }

    it("crosses_from_one_mapping_to_the_next", () => {
      withAccess((access, rig) => {
        rig.iommu.map(rig.memory, { iova: IOVA, length: PAGE_SIZE, offset: PAGE_SIZE });
        rig.iommu.map(rig.memory, { iova: IOVA + BigInt(PAGE_SIZE), length: PAGE_SIZE });
        expect(access.write(IOVA + BigInt(PAGE_SIZE - 2), Uint8Array.of(1, 2, 3, 4), 0)).toBe(0);
        expect([...rig.bytes.subarray(2 * PAGE_SIZE - 2, 2 * PAGE_SIZE), ...rig.bytes.subarray(0, 2)]).toEqual([
          1, 2, 3, 4,
        ]);
        expect([...access.read(IOVA + BigInt(PAGE_SIZE - 2), 4, 0).bytes]).toEqual([1, 2, 3, 4]);
      });
    });

    it("keeps_to_the_mappings_permissions", () => {
      withAccess((access, rig) => {
        rig.bytes.fill(7);
        rig.iommu.map(rig.memory, { iova: IOVA, access: "read" });
        rig.iommu.map(rig.memory, { iova: 2n * IOVA, access: "write" });
        expect(access.write(IOVA, Uint8Array.of(1), 0)).toBe("EPERM");
        expect(access.read(2n * IOVA, 1, 0).outcome).toBe("EPERM");
        expect(rig.bytes.every((byte) => byte === 7)).toBe(true);
        expect([access.read(IOVA, 1, 0).bytes[0], access.write(2n * IOVA, Uint8Array.of(9), 0)]).toEqual([7, 0]);
        expect(rig.bytes[0]).toBe(9);
      });
    });

    for (const [name, slow] of PATHS) {
      it(`leaves_memory_alone_that_the_process_cannot_write${name}`, () => {
        using memory = new ReadOnlyArgument(Uint8Array.of(7));
        withAccess((access, rig) => {
          // Without a device nothing is pinned, so the map cannot tell yet.
          const raw = new IommufdFile(rig.door.file);
          const request = { ioas: rig.ioas, vaddr: BigInt(memory.address), length: PAGE_SIZE, iova: IOVA };
          expect(raw.map(request).code).toBe("ok");
          // iopt_pages_rw_page, iopt_pages_rw_slow
          expect(access.write(IOVA, Uint8Array.of(9), slow)).toBe("EFAULT");
          expect(access.write(IOVA, new Uint8Array(PAGE_SIZE).fill(9), slow)).toBe("EFAULT");
          expect(raw.unmap(rig.ioas, IOVA, BigInt(PAGE_SIZE)).code).toBe("ok");
          expect(raw.map({ ...request, flags: IOMMU_IOAS_MAP_READABLE }).code).toBe("ok");
          expect([...access.read(IOVA, 2, slow).bytes]).toEqual([7, 0]);
        });
      });
    }

    it("keeps_to_the_permissions_of_a_copy", () => {
      withAccess((access, rig) => {
        rig.bytes.fill(7);
        rig.iommu.map(rig.memory, { iova: IOVA });
        const copy = { src_ioas_id: rig.ioas, dst_ioas_id: rig.ioas, length: PAGE_SIZE, src_iova: IOVA };
        // The memory may be written, though not by way of the copy (check_area_prot).
        const flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_FIXED_IOVA;
        expect(new IommufdFile(rig.door.file).copy({ ...copy, flags, dst_iova: 2n * IOVA }).code).toBe("ok");
        for (const [, slow] of PATHS) {
          expect(access.write(2n * IOVA, Uint8Array.of(9), slow)).toBe("EPERM");
          expect(access.read(2n * IOVA, 1, slow)).toEqual({ outcome: 0, bytes: Uint8Array.of(7) });
        }
        expect(access.pin(2n * IOVA, PAGE_SIZE, { flags: MOCK_FLAGS_ACCESS_WRITE }).outcome).toBe("EPERM");
        expect(access.write(IOVA, Uint8Array.of(9), 0)).toBe(0);
      }, MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES);
    });

    it("ends_with_the_mapping", () => {
      withAccess((access, rig) => {
        const region = rig.iommu.map(rig.memory, { iova: IOVA });
        const end = IOVA + BigInt(rig.memory.length);
        expect(access.read(end, 1, 0).outcome).toBe("ENOENT");
        expect(access.read(end - 1n, 1, 0).outcome).toBe(0);
        expect(access.read(end - 1n, 2, 0).outcome).toBe("ENOENT");
        expect(access.read(IOVA - 1n, 2, 0).outcome).toBe("ENOENT");
        expect(access.read(IOVA, 0, 0).outcome).toBe("EINVAL");
        expect(access.read(2n ** 64n - 1n, 2, 0).outcome).toBe("EOVERFLOW");
        region.unmap();
        expect(access.read(IOVA, 1, 0).outcome).toBe("ENOENT");
      });
    });

    it("moves_to_another_space", () => {
      withAccess((access, rig) => {
        const region = rig.iommu.map(rig.memory, { iova: IOVA });
        const elsewhere = rig.door.newIoas();
        elsewhere.copyMapping(rig.door.ioas, { sourceIova: IOVA, length: PAGE_SIZE, iova: 2n * IOVA });
        rig.bytes[0] = 0x5a;
        expect(access.moveTo(elsewhere.id)).toBe(0);
        expect([access.read(IOVA, 1, 0).outcome, access.read(2n * IOVA, 1, 0).bytes[0]]).toEqual(["ENOENT", 0x5a]);
        expect(rig.raw.destroy(elsewhere.id)).toBe("EBUSY");
        expect(access.moveTo(UNKNOWN)).toBe("ENOENT");
        expect(access.read(2n * IOVA, 1, 0).outcome).toBe(0);
        expect(access.moveTo(rig.ioas)).toBe(0);
        expect(access.read(IOVA, 1, 0).bytes[0]).toBe(0x5a);
        region.unmap();
      });
    });

    describe("pinned_pages", () => {
      const withPins = (use: (access: KernelAccess, rig: MockRig) => void): void => {
        withAccess(use, MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES);
      };

      it("are_the_pages_of_the_mapping", () => {
        withPins((access, rig) => {
          rig.bytes.fill(1);
          rig.iommu.map(rig.memory, { iova: IOVA });
          expect(access.pinsOf(0)).toBe(true);
          // The kernel compares each page with the process's, and answers EBADE where they differ.
          const whole = access.pin(IOVA, 4 * PAGE_SIZE);
          expect(whole.outcome).toBe(0);
          expect(access.pinsOf(1)).toBe(true);
          const part = access.pin(IOVA + BigInt(PAGE_SIZE), 2 * PAGE_SIZE, { page: 1 });
          expect(part.outcome).toBe(0);
          expect(access.unpin(whole.need("out_access_pages_id"))).toBe(0);
          expect(access.pinsOf(1, 1)).toBe(true);
          expect(access.unpin(part.need("out_access_pages_id"))).toBe(0);
          expect(access.pinsOf(0)).toBe(true);
          expect(access.unpin(part.get("out_access_pages_id"))).toBe("ENOENT");
        });
      });

      it("go_when_they_are_unmapped", () => {
        withPins((access, rig) => {
          rig.bytes.fill(1);
          const region = rig.iommu.map(rig.memory, { iova: IOVA });
          const pinned = access.pin(IOVA, 2 * PAGE_SIZE);
          expect([pinned.outcome, access.pinsOf(1)]).toEqual([0, true]);
          // iommufd_access_notify_unmap asks the holder to let go.
          expect(region.unmap()).toBe(BigInt(rig.memory.length));
          expect(access.pinsOf(0)).toBe(true);
          expect(access.unpin(pinned.need("out_access_pages_id"))).toBe("ENOENT");
        });
      });

      it("of_every_holder_go_when_they_are_unmapped", () => {
        withPins((access, rig) => {
          rig.bytes.fill(1);
          using second = new KernelAccess(rig, MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES);
          using third = new KernelAccess(rig, MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES);
          const region = rig.iommu.map(rig.memory, { iova: IOVA });
          const holders = [access, second, third];
          // Each pins a page of its own, and the third also the first one's.
          const pins = holders.map((holder, page) => holder.pin(IOVA + BigInt(page * PAGE_SIZE), PAGE_SIZE, { page }));
          expect(third.pin(IOVA, PAGE_SIZE).outcome).toBe(0);
          expect(pins.map(({ outcome }) => outcome)).toEqual([0, 0, 0]);
          expect(region.unmap()).toBe(BigInt(rig.memory.length));
          expect([0, 1, 2].map((page) => access.pinsOf(0, page))).toEqual([true, true, true]);
          const ids = pins.map((pin) => pin.get("out_access_pages_id"));
          expect(holders.map((holder, number) => holder.unpin(ids[number] ?? 0))).toEqual([
            "ENOENT",
            "ENOENT",
            "ENOENT",
          ]);
        });
      });

      it("stay_when_others_are_unmapped", () => {
        withPins((access, rig) => {
          rig.bytes.fill(1);
          rig.iommu.map(rig.memory, { iova: IOVA, length: PAGE_SIZE });
          const other = rig.iommu.map(rig.memory, { iova: 2n * IOVA, length: PAGE_SIZE, offset: PAGE_SIZE });
          const pinned = access.pin(IOVA, PAGE_SIZE);
          other.unmap();
          expect(access.pinsOf(1)).toBe(true);
          expect(access.unpin(pinned.need("out_access_pages_id"))).toBe(0);
        });
      });

      it("go_with_the_space", () => {
        withPins((access, rig) => {
          rig.bytes.fill(1);
          rig.iommu.map(rig.memory, { iova: IOVA });
          expect(access.pin(IOVA, 2 * PAGE_SIZE).outcome).toBe(0);
          const elsewhere = rig.door.newIoas();
          expect(access.moveTo(elsewhere.id)).toBe(0);
          expect(access.pinsOf(0)).toBe(true);
        });
      });

      it("are_refused_where_they_may_not_be_pinned", () => {
        withPins((access, rig) => {
          rig.bytes.fill(1);
          rig.iommu.map(rig.memory, { iova: IOVA, access: "read" });
          const write = { flags: MOCK_FLAGS_ACCESS_WRITE };
          expect(access.pin(IOVA, PAGE_SIZE, write).outcome).toBe("EPERM");
          expect(access.pin(IOVA, 0).outcome).toBe("EINVAL");
          expect(access.pin(IOVA, 5 * PAGE_SIZE).outcome).toBe("ENOENT");
          expect(access.pin(2n * IOVA, PAGE_SIZE).outcome).toBe("ENOENT");
          expect(access.pinsOf(0)).toBe(true);
          expect(access.pin(IOVA, PAGE_SIZE).outcome).toBe(0);
        });
      });
    });

    it("needs_whole_pages_only_where_it_pins_them", () => {
      using rig = new MockRig(mode);
      const raw = new IommufdFile(rig.door.file);
      const half = { ioas: rig.ioas, vaddr: rig.memory.address, length: PAGE_SIZE / 2, iova: IOVA };
      const mapHalf = () => {
        const { code } = raw.map(half);
        if (code === "ok") expect(raw.unmap(rig.ioas, IOVA, BigInt(PAGE_SIZE / 2)).code).toBe("ok");
        return [raw.ranges(rig.ioas, 4).alignment, code];
      };
      {
        using _access = new KernelAccess(rig, 0);
        expect(mapHalf()).toEqual([1n, "ok"]);
        using _pins = new KernelAccess(rig, MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES);
        // iopt_calculate_iova_alignment
        expect(mapHalf()).toEqual([BigInt(PAGE_SIZE), "EINVAL"]);
      }
      expect(mapHalf()).toEqual([1n, "ok"]);
      expect(raw.map(half).code).toBe("ok");
      expect(() => new KernelAccess(rig, MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES)).toThrow(/EADDRINUSE/);
      expect(raw.ranges(rig.ioas, 4).alignment).toBe(1n);
    });

    it("stays_where_it_is_when_the_move_is_refused", () => {
      withAccess((access, rig) => {
        rig.bytes.fill(1);
        rig.iommu.map(rig.memory, { iova: IOVA });
        const pinned = access.pin(IOVA, PAGE_SIZE).need("out_access_pages_id");
        const raw = new IommufdFile(rig.door.file);
        const halves = rig.door.newIoas().id;
        const half = { ioas: halves, vaddr: rig.memory.address, length: PAGE_SIZE / 2, iova: IOVA };
        expect(raw.map(half).code).toBe("ok");
        // iommufd_access_change_ioas
        expect(access.moveTo(halves)).toBe("EADDRINUSE");
        expect([access.pinsOf(1), access.unpin(pinned), access.pinsOf(0)]).toEqual([true, 0, true]);
        expect(access.pin(IOVA, PAGE_SIZE).outcome).toBe(0);
        expect(raw.destroy(halves)).toBe("ok");
      }, MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES);
    });

    it("holds_its_space_until_it_goes", () => {
      withAccess((access, rig) => {
        const elsewhere = rig.door.newIoas();
        expect(access.moveTo(elsewhere.id)).toBe(0);
        expect(rig.raw.destroy(elsewhere.id)).toBe("EBUSY");
        access[Symbol.dispose]();
        expect(rig.raw.destroy(elsewhere.id)).toBe(0);
      });
    });

    it("is_made_on_spaces_only", () => {
      using rig = new MockRig(mode);
      const device = rig.device();
      for (const id of [UNKNOWN, device.id, device.pageTable]) {
        expect(rig.test(IOMMU_TEST_OP_CREATE_ACCESS, create_access, { id }).outcome).toBe("ENOENT");
      }
      expect(() => new KernelAccess(rig, 1 << 7)).toThrow(/EOPNOTSUPP/);
    });
  });
}

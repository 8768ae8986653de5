import { PAGE_SIZE } from "../rigs/memory/page-size";
import { QUEUE_IOVA, type VirtualRig } from "../rigs/mock-iommu/virtual-rig";
import { NO_SUCH_ID } from "../rigs/raw/iommufd-files";

/** Queues of a vIOMMU that hardware reads from the guest's memory. */
export function hardwareQueueTests(withRig: (use: (rig: VirtualRig) => void) => void): void {
  describe("hardware_queue", () => {
    it("pins_its_memory", () => {
      withRig((virtual) => {
        const region = virtual.rig.iommu.map(virtual.rig.memory, { iova: QUEUE_IOVA });
        const viommu = virtual.allocate().need("out_viommu_id");
        const beside = virtual.rig.iommu.map(virtual.rig.memory, { iova: 2n * QUEUE_IOVA });
        const id = virtual.hardwareQueue(viommu).need("out_hw_queue_id");
        // Only what the queue lies in (iommufd_lock_obj).
        expect(beside.unmap()).toBe(BigInt(virtual.rig.memory.length));
        expect(() => region.unmap()).toThrow(expect.objectContaining({ code: "EBUSY" }) as Error);
        expect(virtual.rig.raw.destroy(viommu)).toBe("EBUSY");
        expect(virtual.rig.raw.destroy(id)).toBe(0);
        expect(region.unmap()).toBe(BigInt(virtual.rig.memory.length));
        expect(virtual.rig.raw.destroy(viommu)).toBe(0);
      });
    });

    it("is_refused_in_memory_that_lies_in_pieces", () => {
      withRig((virtual) => {
        const { rig } = virtual;
        // The same page twice: it cannot follow itself (iommufd_hw_queue_alloc_phys).
        const half = { length: PAGE_SIZE };
        const pieces = [
          rig.iommu.map(rig.memory, { iova: QUEUE_IOVA, offset: PAGE_SIZE, ...half }),
          rig.iommu.map(rig.memory, { iova: QUEUE_IOVA + BigInt(PAGE_SIZE), offset: PAGE_SIZE, ...half }),
        ];
        const viommu = virtual.allocate().need("out_viommu_id");
        for (const place of [
          { length: 2 * PAGE_SIZE },
          // A part of each page.
          { nesting_parent_iova: QUEUE_IOVA + 0x800n, length: PAGE_SIZE },
          { nesting_parent_iova: QUEUE_IOVA + BigInt(PAGE_SIZE - 1), length: 2 },
        ]) {
          expect([place, virtual.hardwareQueue(viommu, place).outcome]).toEqual([place, "EFAULT"]);
        }
        for (const piece of pieces) expect(piece.unmap()).toBe(BigInt(PAGE_SIZE));
        expect(rig.raw.destroy(viommu)).toBe(0);
      });
    });

    it("may_depend_on_another", () => {
      withRig((virtual) => {
        virtual.rig.iommu.map(virtual.rig.memory, { iova: QUEUE_IOVA });
        const viommu = virtual.allocate().need("out_viommu_id");
        // The mock's second queue needs the first, and holds it.
        expect(virtual.hardwareQueue(viommu, { index: 1 }).outcome).toBe("EIO");
        const first = virtual.hardwareQueue(viommu).need("out_hw_queue_id");
        expect(virtual.hardwareQueue(viommu).outcome).toBe("EEXIST");
        const second = virtual.hardwareQueue(viommu, { index: 1 }).need("out_hw_queue_id");
        expect(virtual.rig.raw.destroy(first)).toBe("EBUSY");
        expect(virtual.rig.raw.destroy(second)).toBe(0);
        expect(virtual.rig.raw.destroy(first)).toBe(0);
      });
    });

    it("begins_anywhere_in_a_page", () => {
      withRig((virtual) => {
        virtual.rig.iommu.map(virtual.rig.memory, { iova: QUEUE_IOVA });
        const viommu = virtual.allocate().need("out_viommu_id");
        // The mock compares the physical address with its own look-up (mock_hw_queue_init_phys).
        expect(virtual.hardwareQueue(viommu, { nesting_parent_iova: QUEUE_IOVA + 0x140n, length: 256 }).outcome).toBe(
          0,
        );
      });
    });

    const refused: Readonly<Record<string, readonly [string, object]>> = {
      flags: ["EOPNOTSUPP", { flags: 1 }],
      default_type: ["EOPNOTSUPP", { type: 0 }],
      unknown_type: ["EOPNOTSUPP", { type: 77 }],
      no_length: ["EINVAL", { length: 0 }],
      overflow: ["EOVERFLOW", { nesting_parent_iova: 2n ** 64n - 256n, length: 512 }],
      unknown_viommu: ["ENOENT", { viommu_id: NO_SUCH_ID }],
      index_beyond: ["EINVAL", { index: 2 }],
      end_of_its_memory: ["ENOENT", { nesting_parent_iova: QUEUE_IOVA + 0x3800n, length: PAGE_SIZE }],
      unmapped_memory: ["ENOENT", { nesting_parent_iova: 2n * QUEUE_IOVA }],
      // It ends with the last IOVA, which is no overflow.
      unmapped_end_of_the_space: ["ENOENT", { nesting_parent_iova: 2n ** 64n - 256n, length: 256 }],
    };
    for (const [name, [errno, values]] of Object.entries(refused)) {
      it(`refuses_${name}`, () => {
        withRig((virtual) => {
          const region = virtual.rig.iommu.map(virtual.rig.memory, { iova: QUEUE_IOVA });
          const viommu = virtual.allocate().need("out_viommu_id");
          expect(virtual.hardwareQueue(viommu, values).outcome).toBe(errno);
          // Nothing stays pinned, nothing holds the vIOMMU.
          expect(region.unmap()).toBe(BigInt(virtual.rig.memory.length));
          expect(virtual.rig.raw.destroy(viommu)).toBe(0);
        });
      });
    }
  });
}

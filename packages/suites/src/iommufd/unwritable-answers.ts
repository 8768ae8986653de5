import { readdirSync } from "node:fs";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import {
  iommu_fault_alloc,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HW_QUEUE_ALLOC,
  iommu_hw_queue_alloc,
  IOMMU_HWPT_ALLOC,
  iommu_hwpt_alloc,
  IOMMU_VDEVICE_ALLOC,
  iommu_vdevice_alloc,
  IOMMU_VEVENTQ_ALLOC,
  iommu_veventq_alloc,
  IOMMU_VIOMMU_ALLOC,
  iommu_viommu_alloc,
  type StructLayout,
} from "@vfio-selftests/core/uapi";
import { requireMode } from "@vfio-selftests/harness";
import { modesOf } from "../rigs/iommu/modes-of";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { MockRig } from "../rigs/mock-iommu/mock-rig";
import {
  IOMMU_HW_QUEUE_TYPE_SELFTEST,
  IOMMU_VEVENTQ_TYPE_SELFTEST,
  IOMMU_VIOMMU_TYPE_SELFTEST,
} from "../rigs/mock-iommu/test-command";
import { QUEUE_IOVA, VIRTUAL_ID, VirtualRig } from "../rigs/mock-iommu/virtual-rig";
import { askPlainly, bytesOf } from "../rigs/raw/ask-kernel";
import { ReadOnlyArgument } from "../rigs/raw/read-only-argument";
import type { SuiteTarget } from "../suite-target";

interface Allocation {
  readonly named: Readonly<Record<string, number>>;
  readonly layout: StructLayout;
  readonly values: Readonly<Record<string, number | bigint>>;
}

const ALLOCATIONS: Readonly<Record<string, (virtual: VirtualRig, viommu: number) => Allocation>> = {
  page_table: ({ rig, device1 }) => ({
    named: { IOMMU_HWPT_ALLOC },
    layout: iommu_hwpt_alloc,
    values: { dev_id: device1.id, pt_id: rig.ioas },
  }),
  viommu: ({ device1, parent }) => ({
    named: { IOMMU_VIOMMU_ALLOC },
    layout: iommu_viommu_alloc,
    values: { type: IOMMU_VIOMMU_TYPE_SELFTEST, dev_id: device1.id, hwpt_id: parent },
  }),
  virtual_device: ({ device1 }, viommu) => ({
    named: { IOMMU_VDEVICE_ALLOC },
    layout: iommu_vdevice_alloc,
    values: { viommu_id: viommu, dev_id: device1.id, virt_id: VIRTUAL_ID },
  }),
  event_queue: (_, viommu) => ({
    named: { IOMMU_VEVENTQ_ALLOC },
    layout: iommu_veventq_alloc,
    values: { viommu_id: viommu, type: IOMMU_VEVENTQ_TYPE_SELFTEST, veventq_depth: 4 },
  }),
  hardware_queue: (_, viommu) => ({
    named: { IOMMU_HW_QUEUE_ALLOC },
    layout: iommu_hw_queue_alloc,
    values: {
      viommu_id: viommu,
      type: IOMMU_HW_QUEUE_TYPE_SELFTEST,
      nesting_parent_iova: QUEUE_IOVA,
      length: PAGE_SIZE,
    },
  }),
  fault_queue: () => ({ named: { IOMMU_FAULT_QUEUE_ALLOC }, layout: iommu_fault_alloc, values: {} }),
};

/** Objects that iommufd makes, and whose number it cannot tell: nothing may be left of them. On the kernel's mock IOMMU. */
export function unwritableAnswersSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  describe("iommufd_unwritable_answers", () => {
    requireMode(mode);

    for (const [name, allocation] of Object.entries(ALLOCATIONS)) {
      it(`leave_no_${name}`, () => {
        using rig = new MockRig(mode);
        using virtual = new VirtualRig(rig);
        const { file } = rig.door;
        const region = rig.iommu.map(rig.memory, { iova: QUEUE_IOVA });
        const viommu = virtual.allocate().need("out_viommu_id");
        const { named, layout, values } = allocation(virtual, viommu);
        const argument = bytesOf(layout, { size: layout.size, ...values });

        const before = { descriptors: descriptors(), id: freeId(rig) };
        {
          using readOnly = new ReadOnlyArgument(argument);
          expect(askPlainly(file, named, readOnly.address)).toBe("EFAULT");
        }
        expect({ descriptors: descriptors(), id: freeId(rig) }).toEqual(before);
        // Nobody uses the vIOMMU or its parent, and no page stays pinned.
        expect(region.unmap()).toBe(BigInt(rig.memory.length));
        expect([rig.raw.destroy(viommu), rig.raw.destroy(virtual.parent)]).toEqual([0, 0]);
        expect(rig.raw.destroy(virtual.device1.test)).toBe(0);
      });
    }
  });
}

/** The lowest number that no object has (_iommufd_object_alloc). */
function freeId({ door }: MockRig): number {
  const ioas = door.newIoas();
  const { id } = ioas;
  ioas.close();
  return id;
}

/** Open files of this process. */
function descriptors(): number {
  return readdirSync(systemPaths.proc("self", "fd")).length;
}

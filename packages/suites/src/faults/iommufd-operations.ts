import { DmaMemory, Iommu } from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
import {
  type IoAddressSpace,
  type Iommufd,
  type IommufdDevice,
  iommufdDeviceOf,
  iommufdOf,
} from "@vfio-selftests/iommu-modes";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import {
  ATTACHING_REFUSED,
  closedAfter,
  inIommufd,
  leaving,
  nothingToClose,
  onDevice,
  type Operation,
  type Prepare,
  type Prepared,
} from "./operation";

const LENGTH = 16 * PAGE_SIZE;
const IOVA = 0x10_0000n;
/** The length with which IOMMU_IOAS_UNMAP takes an address space's all (include/uapi/linux/iommufd.h). */
const WHOLE_SPACE = 2n ** 64n - 1n;

/** What iommufd has beyond the modes' common ground: devices that change their address space, page tables, copies. */
export const IOMMUFD_OPERATIONS: readonly Operation[] = [
  {
    name: "allocating_a_second_ioas",
    only: inIommufd,
    prepare: onDevice((iommu) => ({ act: () => iommufdOf(iommu).newIoas(), [Symbol.dispose]: nothingToClose })),
  },
  {
    name: "attaching",
    only: inIommufd,
    refusals: () => [ATTACHING_REFUSED],
    prepare: withBoundDevice((tie, { ioas }) => ({
      act: () => {
        tie.attach(ioas);
        return { [Symbol.dispose]: () => tie.detach() };
      },
      verify: () => expect(isNarrowed(ioas)).toBe(true),
      [Symbol.dispose]: nothingToClose,
    })),
  },
  {
    name: "moving_to_another_address_space",
    only: inIommufd,
    refusals: () => [ATTACHING_REFUSED],
    prepare: withBoundDevice((tie, iommufd) => {
      const other = iommufd.newIoas();
      tie.attach(iommufd.ioas);
      return {
        act: leaving(() => tie.attach(other)),
        // The device's limits went with it.
        verify: () => expect([isNarrowed(other), isNarrowed(iommufd.ioas)]).toEqual([true, false]),
        [Symbol.dispose]: () => closeAll("the address space", [() => tie.detach(), () => other.close()]),
      };
    }),
  },
  {
    name: "allocating_a_page_table",
    only: inIommufd,
    refusals: () => [ATTACHING_REFUSED],
    prepare: withBoundDevice((tie, iommufd) => {
      let table: ReturnType<Iommufd["newPageTable"]> | undefined;
      return {
        act: () => (table = iommufd.newPageTable({ device: tie, ioas: iommufd.ioas })),
        verify: () => {
          if (table === undefined) throw new Error("no page table was made");
          tie.attach(table);
          expect(isNarrowed(iommufd.ioas)).toBe(true);
          tie.detach();
        },
        [Symbol.dispose]: nothingToClose,
      };
    }),
  },
  {
    name: "copying_a_mapping",
    only: inIommufd,
    prepare: onDevice((iommu) => {
      const iommufd = iommufdOf(iommu);
      const memory = DmaMemory.allocate(LENGTH);
      const { iova } = iommu.map(memory);
      const other = iommufd.newIoas();
      return {
        act: leaving(() => other.copyMapping(iommufd.ioas, { sourceIova: iova, length: LENGTH, iova: IOVA })),
        verify: () => expect(other.unmap(IOVA, BigInt(LENGTH))).toBe(BigInt(LENGTH)),
        // IOMMU_IOAS_COPY has mapped before it writes its answer. Of the whole space it unmaps what there is, and nothing is no error.
        takeBack: () => void other.unmap(0n, WHOLE_SPACE),
        [Symbol.dispose]: () =>
          closeAll("the copy", [() => other.close(), () => void iommu.unmapAll(), () => memory.close()]),
      };
    }),
  },
];

/** What needs a device that is bound to the iommufd and attached to nothing. */
function withBoundDevice(prepare: (tie: IommufdDevice, iommufd: Iommufd) => Prepared): Prepare {
  return (mode, address) => {
    const iommu = new Iommu(mode.open());
    return closedAfter([() => iommu.close()], () => {
      const iommufd = iommufdOf(iommu);
      const device = iommufd.openDevice(address);
      return closedAfter([() => device.close()], () => prepare(iommufdDeviceOf(device), iommufd));
    });
  };
}

/** Whether a device is attached: an IOMMU has reserved ranges, or fewer bits than an empty address space. */
function isNarrowed(ioas: IoAddressSpace): boolean {
  const [first, ...others] = ioas.iovaRanges();
  return others.length > 0 || first?.start !== 0n || first.last !== 0xffff_ffff_ffff_ffffn;
}

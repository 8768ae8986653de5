import { DmaMemory, Iommu, PciDevice } from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
import { skip } from "@vfio-selftests/harness";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import {
  ATTACHING_REFUSED,
  inContainer,
  inIommufd,
  leaving,
  nothingToClose,
  onDevice,
  type Operation,
  type Prepare,
} from "./operation";

const MIB = 1024 ** 2;

/** So a PCI device's first vector fails, whatever it lacked (kernel/irq/msi.c, msi_handle_pci_fail). */
const NO_VECTORS = "ENOSPC";

/** A vector's files in /proc are made without a look at the result, and removed by their names. */
const VECTOR_WITHOUT_FILES = {
  pattern: /WARNING: fs\/proc\/generic\.c:\d+ at remove_proc_entry/,
  finding: "docs/kernel-findings/proc-files-of-an-interrupt.md",
};

/** The end of a hold on a group attaches it to its default domain, for which VT-d allocates. */
const RELEASE_NEEDS_MEMORY = {
  pattern: /WARNING: drivers\/iommu\/iommu\.c:\d+ at __iommu_release_dma_ownership/,
  finding: "docs/kernel-findings/release-needs-memory.md",
};

/** The operations that a device makes of VFIO and iommufd. */
export const OPERATIONS: readonly Operation[] = [
  {
    name: "opening_an_address_space",
    prepare: (mode) => ({ act: () => new Iommu(mode.open()), [Symbol.dispose]: nothingToClose }),
  },
  {
    name: "opening_a_device",
    refusals: (mode) => (inIommufd(mode) ? [ATTACHING_REFUSED] : []),
    prepare: (mode, address) => {
      const iommu = new Iommu(mode.open());
      return { act: () => PciDevice.open(iommu, address), [Symbol.dispose]: () => iommu.close() };
    },
  },
  { name: "mapping_a_page", prepare: mapping(() => DmaMemory.allocate(PAGE_SIZE)) },
  { name: "mapping_2_mib_of_small_pages", prepare: mapping(() => DmaMemory.allocate(2 * MIB)) },
  { name: "mapping_a_memfd", prepare: mapping(() => DmaMemory.allocate(16 * PAGE_SIZE, { backing: "memfd" })) },
  {
    name: "unmapping",
    prepare: onDevice((iommu) => {
      const memory = DmaMemory.allocate(16 * PAGE_SIZE);
      const region = iommu.map(memory);
      const { iova } = region;
      return {
        act: leaving(() => region.unmap()),
        // The IOVA is free again for the kernel, not only in the books.
        verify: () => void iommu.map(memory, { iova }).unmap(),
        [Symbol.dispose]: () => closeAll("the memory", [() => void iommu.unmapAll(), () => memory.close()]),
      };
    }),
  },
  {
    name: "enabling_msix",
    refusals: () => [NO_VECTORS],
    defect: VECTOR_WITHOUT_FILES,
    prepare: enabling(({ interrupts }) => interrupts.msix),
  },
  {
    name: "enabling_msi",
    refusals: () => [NO_VECTORS],
    defect: VECTOR_WITHOUT_FILES,
    prepare: enabling(({ interrupts }) => interrupts.msi),
  },
  { name: "enabling_intx", prepare: enabling(({ interrupts }) => interrupts.intx) },
  { name: "enabling_err", prepare: enabling(({ interrupts }) => interrupts.err) },
  { name: "enabling_req", prepare: enabling(({ interrupts }) => interrupts.req) },
  {
    name: "reset",
    mayHaveNoPlace: () => true,
    prepare: onDevice((_iommu, device) => ({
      act: leaving(() => device.reset()),
      verify: () => expect(device.config.vendorId).not.toBe(0xffff),
      [Symbol.dispose]: nothingToClose,
    })),
  },
  {
    name: "writing_configuration_space",
    prepare: onDevice((_iommu, { config }) => ({
      act: leaving(() => (config.busMaster = true)),
      verify: () => expect(config.busMaster).toBe(true),
      [Symbol.dispose]: nothingToClose,
    })),
  },
  {
    name: "closing_a_device_with_interrupts",
    defect: RELEASE_NEEDS_MEMORY,
    prepare: onDevice((_iommu, device) => {
      device.interrupts.msix.enable(0, 1);
      return { act: leaving(() => device.close()), [Symbol.dispose]: nothingToClose };
    }),
  },
  {
    name: "closing_an_address_space_with_mappings",
    // iommufd's container only frees what it has: the device was detached when it closed.
    mayHaveNoPlace: (mode) => inContainer(mode) && !mode.traits.mapsRegisters,
    defect: RELEASE_NEEDS_MEMORY,
    prepare: (mode, address) => {
      const iommu = new Iommu(mode.open());
      const device = PciDevice.open(iommu, address);
      const memory = DmaMemory.allocate(16 * PAGE_SIZE);
      iommu.map(memory);
      device.close();
      return { act: leaving(() => iommu.close()), [Symbol.dispose]: () => memory.close() };
    },
  },
];

/** The mapping of memory: it is all there, and the IOVA is free again. */
export function mapping(allocate: () => DmaMemory): Prepare {
  return onDevice((iommu) => {
    const memory = allocate();
    let iova: bigint;
    return {
      act: () => {
        const region = iommu.map(memory);
        ({ iova } = region);
        return region;
      },
      // The kernel counts the bytes that it unmaps, so all of them were mapped.
      verify: () => {
        expect(iommu.unmapRange(iova, BigInt(memory.length))).toBe(BigInt(memory.length));
        iommu.map(memory, { iova });
      },
      // IOMMU_IOAS_MAP has mapped before it writes its answer (iommufd/ioas.c, iommufd_ioas_map).
      takeBack: () => void iommu.unmapAll(),
      [Symbol.dispose]: () => {
        iommu.unmapAll();
        memory.close();
      },
    };
  });
}

function enabling(indexOf: (device: PciDevice) => PciDevice["interrupts"]["msix"]): Prepare {
  return onDevice((_iommu, device) => {
    const index = indexOf(device);
    if (index.count === 0) {
      skip({ reason: `the device has no ${index.name}`, remedy: "name a device that has it: -d ADDRESS" });
    }
    return {
      act: () => {
        index.enable();
        return { [Symbol.dispose]: () => index.disable() };
      },
      verify: () => {
        index.trigger(0);
        expect(index.vector(0).waitSync()).toBe(1n);
      },
      [Symbol.dispose]: nothingToClose,
    };
  });
}

import { defaultMode, eachMode, fixture, requireMode } from "@vfio-selftests/harness";
import { DEVICE_OPERATIONS } from "../faults/device-operations";
import { IOMMUFD_OPERATIONS } from "../faults/iommufd-operations";
import { KVM_OPERATIONS } from "../faults/kvm-operations";
import type { Operation } from "../faults/operation";
import { OPERATIONS } from "../faults/operations";
import { withBareVm } from "../rigs/interrupts/kvm-irq/with-bare-vm";
import { modesOf } from "../rigs/iommu/modes-of";
import { expectNothingKept } from "../rigs/memory/kernel-memory";
import type { SuiteTarget } from "../suite-target";
import { CONTAINER_CYCLES } from "./container-cycles";
import { type Cycle, cycleOf } from "./cycle";
import { DEVICE_CYCLES } from "./device-cycles";
import { IOMMUFD_CYCLES } from "./iommufd-cycles";
import { MEDIATED_CYCLES } from "./mediated-cycles";
import { MOCK_CYCLES } from "./mock-cycles";

/** Milliseconds. A leak takes three rounds, and the wait for what the kernel frees later. */
const LIMIT_MS = 120_000;

/** How often each operation is repeated. What each mode does in its own way. */
const OF_A_MODE = repeated([...OPERATIONS, ...DEVICE_OPERATIONS], {
  opening_an_address_space: 200,
  mapping_a_page: 500,
  mapping_2_mib_of_small_pages: 60,
  mapping_a_memfd: 300,
  mapping_a_2_mib_page: 300,
  mapping_registers: 300,
});

/** What is the same in every mode. */
const OF_A_DEVICE = repeated([...OPERATIONS, ...DEVICE_OPERATIONS], {
  opening_a_device: 16,
  enabling_msix: 60,
  enabling_msi: 100,
  enabling_intx: 200,
  enabling_err: 300,
  enabling_req: 300,
  setting_an_unmask_eventfd: 500,
  setting_an_ioeventfd: 500,
});

/** KVM waits for the end of all who may still use an irqfd, which takes long on an emulated CPU. */
const OF_KVM = 200;

const OF_IOMMUFD = repeated(IOMMUFD_OPERATIONS, {
  allocating_a_second_ioas: 500,
  attaching: 200,
  allocating_a_page_table: 500,
});

/**
 * What ends as it began leaves nothing in the kernel, and neither does what the kernel refuses half-way. The tests repeat it, and
 * look at the kernel's own figures: its memory, its page tables, what it pins, its open files.
 */
export function kernelMemorySuite(target: SuiteTarget): void {
  fixture("vfio_kernel_memory", target, (address) => {
    const test = (mode: (typeof target.modes)[number], { name, times, prepare }: Cycle): void =>
      it(
        name,
        () => {
          using repeatable = prepare(mode, address);
          expectNothingKept(() => repeatable.once(), times);
        },
        LIMIT_MS,
      );

    eachMode(target, (mode) => {
      for (const cycle of [...OF_A_MODE, ...CONTAINER_CYCLES, ...MEDIATED_CYCLES])
        if (cycle.only?.(mode) !== false) test(mode, cycle);
    });

    describe("device", () => {
      const mode = defaultMode(target);
      requireMode(mode);
      for (const cycle of [...OF_A_DEVICE, ...DEVICE_CYCLES]) test(mode, cycle);
    });

    const [iommufd] = modesOf(target, "iommufd");
    if (iommufd !== undefined) {
      describe("iommufd", () => {
        requireMode(iommufd);
        for (const cycle of [...OF_IOMMUFD, ...IOMMUFD_CYCLES, ...MOCK_CYCLES]) test(iommufd, cycle);
      });
    }

    describe("kvm", () => {
      for (const { name, prepareOn } of KVM_OPERATIONS) {
        it(
          name,
          () =>
            withBareVm(target, (vm) => {
              using repeatable = cycleOf({ name, prepare: prepareOn(vm) }).prepare(defaultMode(target), address);
              expectNothingKept(() => repeatable.once(), OF_KVM);
            }),
          LIMIT_MS,
        );
      }
    });
  });
}

function repeated(operations: readonly Operation[], times: Readonly<Record<string, number>>): Cycle[] {
  return Object.entries(times).map(([name, count]) => {
    const operation = operations.find((candidate) => candidate.name === name);
    if (operation === undefined) throw new RangeError(`there is no operation ${name}`);
    return cycleOf(operation, count);
  });
}

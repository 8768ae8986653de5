import { DmaMemory, Iommu, PciDevice } from "@vfio-selftests/core";
import { eachMode, fixture, note } from "@vfio-selftests/harness";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { lockedMemory } from "../rigs/ordinary-user/locked-memory";
import { LockingThread } from "../rigs/race/locking-thread";
import type { SuiteTarget } from "../suite-target";

const IOVA = 0x4000_0000n;
/** The original goes on for ever. */
const ROUNDS = { hardware: 100_000, lab: 2000, models: 0 } as const;
const TIMEOUT_MS = 60_000;

/**
 * One thread locks a page and frees it, the other maps a page for DMA and unmaps it: both count in the process's memory
 * (awilliam/tests, accounting-stress, which calls mlock; this locks by mmap's MAP_LOCKED, and counts the same).
 */
export function accountingRaceSuite(target: SuiteTarget): void {
  fixture("vfio_accounting_race", target, (address) => {
    eachMode(target, (mode) => {
      it(
        "lock_against_map",
        async () => {
          const rounds = ROUNDS[target.kind];
          using memory = DmaMemory.allocate(PAGE_SIZE);
          using iommu = new Iommu(mode.open());
          using _device = PciDevice.open(iommu, address);
          const before = lockedMemory();
          const locking = new LockingThread();
          let locked = 0;
          try {
            const already = locking.rounds;
            for (let round = 0; round < rounds; round++) {
              iommu.backend.map(memory, 0, PAGE_SIZE, IOVA, "read-write");
              expect(iommu.backend.unmap(IOVA, BigInt(PAGE_SIZE))).toBe(BigInt(PAGE_SIZE));
            }
            locked = locking.rounds - already;
          } finally {
            await locking.stop();
          }
          note(`${rounds} pages mapped and unmapped while ${locked} were locked and freed`);
          expect(locking.failed).toBe(0);
          expect(locked).toBeGreaterThan(0);
          // No update is lost (vfio_lock_acct and mmap both change mm->locked_vm).
          expect(lockedMemory()).toEqual(before);
        },
        TIMEOUT_MS,
      );
    });
  });
}

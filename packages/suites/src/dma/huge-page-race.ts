import { DmaMemory, Iommu, type MemoryBacking, PciDevice, VfioError } from "@vfio-selftests/core";
import { eachMode, fixture, note, skip } from "@vfio-selftests/harness";
import { EDU_IOVA_LIMIT } from "../devices/edu/edu-registers";
import { CopyRig } from "../rigs/dma/copy-rig";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { mapCall, unmapCall } from "../rigs/race/map-calls";
import { Racer } from "../rigs/race/racer";
import type { SuiteTarget } from "../suite-target";

const MIB = 1024 ** 2;
const LENGTH = 4 * MIB;
/** On 2 MiB boundaries that every device reaches. */
const OURS = EDU_IOVA_LIMIT / 4n;
const THEIRS = EDU_IOVA_LIMIT / 2n;
const ROUNDS = 5;
const CHURN = 100;
/** iommufd's answers when there is nothing to unmap, or a map is under way. Type 1 reports 0 bytes instead. */
const NOT_UNMAPPED = ["ENOENT", "EBUSY"];

/** `thp`: shared anonymous memory on 2 MiB boundaries, which the kernel backs with huge pages if it is set to. */
const BACKINGS: Readonly<Record<string, MemoryBacking>> = { hugetlb_2mb: "hugetlb-2m", thp: "shared" };

/** Two threads use the same huge pages at once, which nobody has touched before. */
export function hugePageRaceSuite(target: SuiteTarget): void {
  fixture("vfio_huge_page_race", target, (address) => {
    eachMode(target, (mode) => {
      for (const [name, backing] of Object.entries(BACKINGS)) {
        it(`${name}_both_map`, async () => {
          using rig = new CopyRig(target, mode, [address]);
          const { iommu, copier } = rig;
          const area = { address: 0n, iova: THEIRS, length: LENGTH };
          await using racer = Racer.start([mapCall(iommu, area)]);
          const unmap = { iova: THEIRS, length: BigInt(LENGTH) };
          for (let round = 1; round <= ROUNDS; round++) {
            using memory = untouched(backing);
            racer.setArgument(0, mapCall(iommu, { ...area, address: memory.address }).argument);
            let ours: ReturnType<Iommu["map"]> | undefined;
            racer.race(1, () => (ours = iommu.map(memory, { iova: OURS })));
            try {
              expect(racer.result(0)).toMatchObject({ succeeded: round, failed: 0 });
              // Both mappings lead to the same pages, up to the last one.
              const bytes = new Uint8Array(memory.buffer);
              for (const offset of [0, LENGTH - PAGE_SIZE]) {
                const length = Math.min(copier.size, PAGE_SIZE);
                bytes.fill(round, offset, offset + length);
                copier.session.memcpySync(OURS + BigInt(offset), copier.destination.iova, length);
                copier.session.memcpySync(THEIRS + BigInt(offset), copier.destination.iovaOf(length), length);
                expect(copier.destination.bytes.subarray(0, 2 * length).every((byte) => byte === round)).toBe(true);
              }
            } finally {
              expect(iommu.backend.unmap(unmap.iova, unmap.length)).toBe(unmap.length);
              ours?.unmap();
            }
          }
        });

        it(`${name}_one_maps_one_writes`, async () => {
          using iommu = new Iommu(mode.open());
          using _device = PciDevice.open(iommu, address);
          const area = { address: 0n, iova: THEIRS, length: LENGTH };
          await using racer = Racer.start([mapCall(iommu, area)]);
          for (let round = 1; round <= ROUNDS; round++) {
            using memory = untouched(backing);
            racer.setArgument(0, mapCall(iommu, { ...area, address: memory.address }).argument);
            const bytes = new Uint8Array(memory.buffer);
            racer.race(1, () => {
              for (let offset = LENGTH - PAGE_SIZE; offset >= 0; offset -= PAGE_SIZE) bytes[offset] = round;
            });
            expect(racer.result(0)).toMatchObject({ succeeded: round, failed: 0 });
            let lost = 0;
            for (let offset = 0; offset < LENGTH; offset += PAGE_SIZE) if (bytes[offset] !== round) lost++;
            expect(lost).toBe(0);
            expect(iommu.backend.unmap(THEIRS, BigInt(LENGTH))).toBe(BigInt(LENGTH));
          }
        });

        it(`${name}_map_against_unmap`, async () => {
          using iommu = new Iommu(mode.open());
          using _device = PciDevice.open(iommu, address);
          using memory = untouched(backing);
          const area = { address: memory.address, iova: THEIRS, length: LENGTH };
          await using racer = Racer.start([mapCall(iommu, area), unmapCall(iommu, area)]);
          let mapped = 0;
          racer.race(CHURN, () => {
            while (racer.running) {
              // Each thread may find the other's mapping, or find it gone.
              mapped += attempt(["EEXIST"], () => iommu.backend.map(memory, 0, LENGTH, THEIRS, "read-write")) ? 1 : 0;
              attempt(NOT_UNMAPPED, () => iommu.backend.unmap(THEIRS, BigInt(LENGTH)));
            }
          });
          const [theirMaps, theirUnmaps] = [racer.result(0), racer.result(1)];
          expect(theirMaps.succeeded + theirMaps.failed).toBe(CHURN);
          // Every failure counts, not only the last.
          expect(theirMaps.errors.filter((code) => code !== "EEXIST")).toEqual([]);
          expect(theirUnmaps.errors.filter((code) => !NOT_UNMAPPED.includes(code))).toEqual([]);
          note(`maps that found the place free: ${mapped} here, ${theirMaps.succeeded} there`);
          // After an unmap of whatever is left, the space is whole.
          attempt(["ENOENT"], () => iommu.backend.unmap(THEIRS, BigInt(LENGTH)));
          using whole = iommu.map(memory, { iova: THEIRS });
          expect(whole.unmap()).toBe(BigInt(LENGTH));
        });
      }
    });
  });
}

/** Memory without pages yet. It skips the test when there are too few huge pages. */
function untouched(backing: MemoryBacking): DmaMemory {
  try {
    return DmaMemory.allocate(LENGTH, { backing, alignment: 2 * MIB });
  } catch (error) {
    if (backing === "shared" || !(error instanceof VfioError) || error.code !== "ENOMEM") throw error;
    skip({ reason: error.message.split("\n")[0] ?? error.message, remedy: error.remedy ?? "reserve huge pages" });
  }
}

/** False when it failed with one of the allowed codes. */
function attempt(allowed: readonly string[], action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (error instanceof VfioError && allowed.includes(error.code)) return false;
    throw error;
  }
}

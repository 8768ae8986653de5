import { DmaMemory, Iommu, PciDevice } from "@vfio-selftests/core";
import { eachMode, errorWithCode, fixture, note } from "@vfio-selftests/harness";
import { entryLimit } from "../rigs/iommu/entry-limit";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { lockedMemory } from "../rigs/ordinary-user/locked-memory";
import type { SuiteTarget } from "../suite-target";

/** As many as awilliam/tests' map-unmap makes; in the lab one more than type 1's limit lets a container have by itself. */
const MAPS = { hardware: 262_144, lab: 65_536, models: 0 } as const;
const MEMORY_PAGES = 512;
const BASE = 0x1_0000_0000n;
const TIMEOUT_MS = 120_000;

/** Very many mappings of one page each, and one unmap that takes them all (github.com/awilliam/tests, map-unmap). */
export function manyMapsSuite(target: SuiteTarget): void {
  fixture("vfio_many_maps", target, (address) => {
    eachMode(target, (mode) => {
      it(
        "one_unmap_takes_them_all",
        () => {
          const maps = MAPS[target.kind];
          using _limit = entryLimit(mode, maps);
          using memory = DmaMemory.allocate(MEMORY_PAGES * PAGE_SIZE);
          using iommu = new Iommu(mode.open());
          using _device = PciDevice.open(iommu, address);
          const { backend } = iommu;
          const counted = () => lockedMemory().locked + lockedMemory().pinned;
          const before = counted();
          const started = performance.now();
          for (let map = 0; map < maps; map++) {
            backend.map(memory, (map % MEMORY_PAGES) * PAGE_SIZE, PAGE_SIZE, iovaOf(map), "read-write");
          }
          const middle = performance.now();
          expect(counted() - before).toBe(maps);
          const bytes = BigInt(maps * PAGE_SIZE);
          expect(backend.unmap(BASE, bytes)).toBe(bytes);
          const end = performance.now();
          note(`${maps} maps in ${(middle - started).toFixed(0)} ms, one unmap in ${(end - middle).toFixed(0)} ms`);
          expect(counted()).toBe(before);
          if (mode.traits.api === "iommufd") {
            expect(() => backend.unmap(BASE, bytes)).toThrow(errorWithCode("ENOENT"));
          } else {
            expect(backend.unmap(BASE, bytes)).toBe(0n);
          }
        },
        TIMEOUT_MS,
      );
    });
  });
}

function iovaOf(map: number): bigint {
  return BASE + BigInt(map * PAGE_SIZE);
}

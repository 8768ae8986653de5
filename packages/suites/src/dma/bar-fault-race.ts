import { type Bar, Iommu, PciDevice } from "@vfio-selftests/core";
import type { MappedRegisters } from "@vfio-selftests/core/backend";
import { existsPath, systemPaths } from "@vfio-selftests/core/sysfs";
import { defaultMode, fixture, notChecked, note, requireMode, skip } from "@vfio-selftests/harness";
import { PageFaults } from "../rigs/memory/page-faults";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { FaultRacer } from "../rigs/race/fault-racer";
import type { SuiteTarget } from "../suite-target";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const HUGE_PAGES: Readonly<Record<string, number>> = { "2mb": 2 * MIB, "1gb": GIB };
/** On hardware as often as the original. */
const ROUNDS = { hardware: 100_000, lab: 1000, models: 0 } as const;
/** Of those, each time after which the other pages are looked at. */
const LOOK_EVERY = 100;
/** Pages that are looked at, each a fault of its own where the processor has no huge entry. */
const LOOKS = 64;
/** Turns that one thread waits, at most, so that now the one and now the other comes first. */
const LONGEST_DELAY = 64;
const TIMEOUT_MS = 120_000;
const FIRST = 0x600d_f1a6;
const LAST = 0x1a57_9a6e;

/** Two processors take the first fault on the same huge page of a BAR (github.com/awilliam/tests, huge-fault-race). */
export function barFaultRaceSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_bar_fault_race", target, (address) => {
    requireMode(mode);

    for (const [name, size] of Object.entries(HUGE_PAGES)) {
      it(
        `both_ends_of_${name}`,
        async () => {
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          const bar = barOf(device, size);
          const expected = contents(target, device, bar, size);
          await using racer = FaultRacer.start();
          using faults = new PageFaults();
          let mostFaults = 0;
          for (let round = 0; round < ROUNDS[target.kind]; round++) {
            using mapping = mapHuge(device, bar, size);
            // The other thread has the last page, as the original's first one; here is the page's start.
            let first = 0;
            const answer = racer.race(mapping.address + BigInt(size - PAGE_SIZE), () => {
              for (let turn = round % LONGEST_DELAY; turn > 0; turn--) Atomics.load(DELAY, 0);
              first = mapping.read32(0);
            });
            // vfio_pci_mmap_huge_fault: whoever comes second finds the page there, and fails no more than the first.
            expect([round, answer]).toEqual([round, 0]);
            if (expected !== undefined) expect([first, mapping.read32(size - PAGE_SIZE)]).toEqual(expected);
            if (round % LOOK_EVERY === 0) {
              mostFaults = Math.max(
                mostFaults,
                faults.during(() => lookAround(mapping, size)),
              );
            }
          }
          note(
            `BAR ${bar.index}: ${ROUNDS[target.kind]} races; then at most ${mostFaults} faults on ${LOOKS} other pages`,
          );
          expectHugeEntry(mostFaults);
        },
        TIMEOUT_MS,
      );
    }
  });
}

const DELAY = new Int32Array(new SharedArrayBuffer(4));

/** A mapping that nobody has touched. */
function mapHuge(device: PciDevice, bar: Bar, size: number): MappedRegisters {
  return device.vfio.mapRegion(bar.index, { offset: 0, size }, { alignment: size });
}

/** Words at both ends, which the lab's BAR keeps; elsewhere nobody knows what a write does. */
function contents({ kind }: SuiteTarget, device: PciDevice, bar: Bar, size: number): [number, number] | undefined {
  if (kind !== "lab") return undefined;
  const ends = [0, size - PAGE_SIZE] as const;
  using mapping = mapHuge(device, bar, size);
  mapping.write32(ends[0], FIRST);
  mapping.write32(ends[1], LAST);
  return [mapping.read32(ends[0]), mapping.read32(ends[1])];
}

/** Reads pages between the two that were raced for. */
function lookAround(mapping: MappedRegisters, size: number): void {
  const step = Math.floor(size / (LOOKS + 2) / PAGE_SIZE) * PAGE_SIZE;
  for (let look = 1; look <= LOOKS; look++) mapping.read32(look * step);
}

/** One entry of the processor's page table holds the whole page: the rest of it faults no more. */
function expectHugeEntry(faults: number): void {
  if (process.arch !== "x64" || !existsPath(systemPaths.sys("kernel", "mm", "transparent_hugepage"))) {
    notChecked(
      "the size of the processor's page",
      "this kernel need not map BARs by huge pages (ARCH_SUPPORTS_HUGE_PFNMAP)",
    );
    return;
  }
  expect(faults).toBeLessThan(LOOKS / 2);
}

function barOf(device: PciDevice, size: number): Bar {
  const bar = device.bars.find((each) =>
    each.region.mappableAreas.some((area) => area.offset === 0 && area.size >= size),
  );
  if (bar !== undefined) return bar;
  skip({
    reason: `the device has no BAR of ${size / MIB} MiB that can be mapped`,
    remedy: "use a device with a large BAR: vfio-selftests lab run --device pci-testdev",
  });
}

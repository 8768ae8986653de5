import { DmaMemory } from "@vfio-selftests/core";
import { CopyBench, DeviceCopier } from "../rigs/copy-rig";
import { DEFAULT_TIMEOUT_MS, eachMode } from "@vfio-selftests/harness";
import { note } from "@vfio-selftests/harness";
import { skip } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../suite-target";

const PAGE = 4096;
const LOAD_MS = 1000;
/** Makes a copy last while the address space changes, where the driver can repeat it. */
const REPEATS = 256;
/** Other memory that comes and goes while the devices copy. */
const CHURN_PAGES = 32;

/** Several devices at work in one container or iommufd, while its mappings change. */
export function dmaLoadSuite(target: SuiteTarget): void {
  describe("vfio_dma_load", () => {
    eachMode(target, (mode) => {
      it(
        "devices_copy_at_once",
        () => {
          using bench = open(several(target.devices));
          const rounds = load(() => {
            for (const copier of bench.copiers) copier.start();
            for (const copier of bench.copiers) copier.finish();
          });
          note(`${rounds} rounds of ${bench.copiers.length} devices in ${LOAD_MS} ms`);
        },
        DEFAULT_TIMEOUT_MS,
      );

      it(
        "mappings_change_meanwhile",
        () => {
          using bench = open(several(target.devices));
          using churn = DmaMemory.allocate(CHURN_PAGES * PAGE);
          const rounds = load(() => {
            for (const copier of bench.copiers) copier.start(REPEATS);
            const regions = Array.from({ length: CHURN_PAGES }, (_, page) =>
              bench.iommu.map(churn, { offset: page * PAGE, length: PAGE }),
            );
            for (const region of regions) expect(region.unmap()).toBe(BigInt(PAGE));
            for (const copier of bench.copiers) copier.finish();
          });
          note(`${rounds} rounds, each with ${CHURN_PAGES} maps and unmaps while ${bench.copiers.length} devices copy`);
        },
        DEFAULT_TIMEOUT_MS,
      );

      it(
        "devices_come_and_go_meanwhile",
        () => {
          const [first = "", ...others] = several(target.devices);
          using bench = open([first]);
          const rounds = load(() => {
            bench.copier.start(REPEATS);
            const arrived = others.map((address, number) => new DeviceCopier(target, bench.iommu, address, number));
            for (const copier of arrived) copier.copy();
            for (const copier of arrived) copier.close();
            bench.copier.finish();
          });
          note(`${rounds} rounds of ${others.length} devices opened and closed while another one copies`);
        },
        DEFAULT_TIMEOUT_MS,
      );

      function open(addresses: readonly string[]): CopyBench {
        return new CopyBench(target, mode, addresses);
      }
    });
  });
}

function several(devices: readonly string[]): readonly string[] {
  if (devices.length > 1) return devices;
  skip({
    reason: devices.length === 0 ? "no device was named" : "the run has one device",
    remedy: "name several: -d ADDRESS -d ADDRESS, or pnpm vfio lab run --device igb*2",
  });
}

/** Repeats for {@link LOAD_MS}, twice at least; gives how often. */
function load(round: () => void): number {
  const end = performance.now() + LOAD_MS;
  let rounds = 0;
  while (rounds < 2 || performance.now() < end) {
    round();
    rounds++;
  }
  return rounds;
}

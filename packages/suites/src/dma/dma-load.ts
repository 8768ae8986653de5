import { DmaMemory } from "@vfio-selftests/core";
import { eachMode, note, skip } from "@vfio-selftests/harness";
import { CopyRig, DeviceCopier } from "../rigs/dma/copy-rig";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";

const LOAD_MS = 1000;
/** Where the driver can repeat a copy, this makes it last while the address space changes. */
const REPEATS = 256;
/** Other memory that comes and goes while the devices copy. */
const CHURN_PAGES = 32;

/** Several devices at work in one container or iommufd, while its mappings change. */
export function dmaLoadSuite(target: SuiteTarget): void {
  describe("vfio_dma_load", () => {
    eachMode(target, (mode) => {
      it("devices_copy_at_once", () => {
        using rig = open(several(target.devices));
        const rounds = load(() => {
          for (const copier of rig.copiers) copier.start();
          for (const copier of rig.copiers) copier.finish();
        });
        note(`${rounds} rounds of ${rig.copiers.length} devices in ${LOAD_MS} ms`);
      });

      it("mappings_change_meanwhile", () => {
        using rig = open(several(target.devices));
        using churn = DmaMemory.allocate(CHURN_PAGES * PAGE_SIZE);
        const rounds = load(() => {
          for (const copier of rig.copiers) copier.start(REPEATS);
          const regions = Array.from({ length: CHURN_PAGES }, (_, page) =>
            rig.iommu.map(churn, { offset: page * PAGE_SIZE, length: PAGE_SIZE }),
          );
          for (const region of regions) expect(region.unmap()).toBe(BigInt(PAGE_SIZE));
          for (const copier of rig.copiers) copier.finish();
        });
        note(`${rounds} rounds, each with ${CHURN_PAGES} maps and unmaps while ${rig.copiers.length} devices copy`);
      });

      it("devices_come_and_go_meanwhile", () => {
        const [first = "", ...others] = several(target.devices);
        using rig = open([first]);
        const rounds = load(() => {
          rig.copier.start(REPEATS);
          const arrived = others.map((address, number) => new DeviceCopier(target, rig.iommu, address, number));
          for (const copier of arrived) copier.copy();
          for (const copier of arrived) copier.close();
          rig.copier.finish();
        });
        note(`${rounds} rounds of ${others.length} devices opened and closed while another one copies`);
      });

      function open(addresses: readonly string[]): CopyRig {
        return new CopyRig(target, mode, addresses);
      }
    });
  });
}

function several(devices: readonly string[]): readonly string[] {
  if (devices.length > 1) return devices;
  skip({
    reason: devices.length === 0 ? "no device was named" : "the run has one device",
    remedy: "name several: -d ADDRESS -d ADDRESS, or vfio-selftests lab run --device igb*2",
  });
}

/** Repeats `round` for {@link LOAD_MS}, at least twice. Returns the number of rounds. */
function load(round: () => void): number {
  const end = performance.now() + LOAD_MS;
  let rounds = 0;
  while (rounds < 2 || performance.now() < end) {
    round();
    rounds++;
  }
  return rounds;
}

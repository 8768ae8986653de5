import { setTimeout as pause } from "node:timers/promises";
import { VfioError } from "@vfio-selftests/core";
import { existsPath, systemPaths } from "@vfio-selftests/core/sysfs";
import { fixture, note, requireMode, skip } from "@vfio-selftests/harness";
import { EDU, EDU_DMA_COMMAND, EDU_REGISTERS } from "../devices/edu/edu-registers";
import { AttachedRig } from "../rigs/dma/attached-rig";
import { type Side, type TableKind, TwoSpaces } from "../rigs/dma/two-spaces";
import { modesOf } from "../rigs/iommu/modes-of";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { Racer } from "../rigs/race/racer";
import type { SuiteTarget } from "../suite-target";

const KINDS: readonly TableKind[] = ["ioas", "page_table"];
/** How often the page table is switched. A device that takes long for a copy makes fewer switches. */
const EXTENTS = {
  hardware: { switches: 10_000, longestMs: 60_000 },
  lab: { switches: 500, longestMs: 2000 },
  full: { switches: 10_000, longestMs: 1_200_000 },
} as const;
const FEWEST_SWITCHES = 5;
const MORE_MS = 60_000;
const WRITES_IN_FLIGHT = 5;
const IN_FLIGHT_TIMEOUT_MS = 5000;

/** Folders of sysfs that tell whose IOMMU driver stops a device's DMA for a moment when it gets another page table. */
const STOPPING = [
  { folder: "intel-iommu", where: "intel_iommu_attach_device calls device_block_translation first" },
  { folder: "amd-iommu", where: "amd_iommu_attach_device calls detach_device first" },
] as const;

/** The run's first device copies to an IOVA while its attachment is replaced by one in which the IOVA leads to other memory. */
export function replaceUnderDmaSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;
  const timeoutMs = extentOf(target).longestMs + MORE_MS;

  const [first, ...others] = target.devices;
  const switched = { devices: first === undefined ? [] : [first] };

  fixture("iommufd_replace_under_dma", switched, (address) => {
    requireMode(mode);

    for (const kind of KINDS) {
      describe(kind, () => {
        it(
          "old_memory_stays_as_it_is",
          async () => {
            using rig = new AttachedRig(target, mode, address);
            using spaces = new TwoSpaces(rig, kind);
            await switchWhileCopying(target, rig, spaces, "a copy may fail");
          },
          timeoutMs,
        );

        it(
          "no_copy_is_lost",
          async () => {
            const stopping = STOPPING.find(({ folder }) => existsPath(systemPaths.pciDevice(address, "iommu", folder)));
            if (stopping !== undefined) {
              skip({
                reason: `the IOMMU's driver stops the device's DMA during a replacement (${stopping.where})`,
                remedy: "use an IOMMU that replaces in one step: vfio-selftests lab run --iommu virtio --device igb*3",
              });
            }
            // A virtio-iommu forgets the mappings of a space that loses its last device (viommu_attach_dev).
            if (others.length < KINDS.length) {
              skip({
                reason: "the run has no two other devices that keep both page tables in use",
                remedy: "name three: vfio-selftests lab run --iommu virtio --device igb*3",
              });
            }
            using rig = new AttachedRig(target, mode, address);
            using spaces = new TwoSpaces(rig, kind);
            spaces.hold(others);
            await switchWhileCopying(target, rig, spaces, "no copy fails");
          },
          timeoutMs,
        );

        it(
          "write_in_flight_goes_to_the_new_memory",
          async () => {
            using rig = new AttachedRig(target, mode, address);
            const { device, session, source } = rig.copier;
            const size = pageOf(rig);
            if (!device.matches(EDU.vendor, EDU.device)) {
              skip({
                reason: "only of QEMU's edu does the test know that a write is under way",
                remedy: "vfio-selftests lab run --device edu",
              });
            }
            using spaces = new TwoSpaces(rig, kind);
            for (let round = 0; round < WRITES_IN_FLIGHT; round++) {
              const [before, after] = sidesOf(spaces, round);
              stamp(source.bytes, round);
              const copy = session.memcpy(source.iova, spaces.iova, size);
              const writing = BigInt(EDU_DMA_COMMAND.start | EDU_DMA_COMMAND.toMemory);
              await until(() => device.bar(0).read64(EDU_REGISTERS.dmaCommand) === writing);
              rig.tie.attach(after.table);
              const kept = Buffer.from(before.bytes);
              // The switch was over before the write, or the test has shown nothing.
              expect(device.bar(0).read64(EDU_REGISTERS.dmaCommand)).toBe(writing);
              await copy;
              const arrived = { inNew: holds(after.bytes, source.bytes, size), oldChanged: !kept.equals(before.bytes) };
              expect({ round, ...arrived }).toEqual({ round, inNew: true, oldChanged: false });
            }
          },
          timeoutMs,
        );
      });
    }
  });
}

/**
 * Another thread makes each switch while this one makes the device copy. Every copy that ends well is whole in one of
 * both memories. Once the switch is over, copies arrive in the new memory, and the old one stays as it is. `mayFail` says
 * whether a copy may end with the driver's error during a switch.
 */
async function switchWhileCopying(
  target: SuiteTarget,
  rig: AttachedRig,
  spaces: TwoSpaces,
  mayFail: "a copy may fail" | "no copy fails",
): Promise<void> {
  const { session, source } = rig.copier;
  const size = pageOf(rig);
  await using racer = Racer.start([spaces.attachCall(spaces.sides[1])]);
  const problems: string[] = [];
  let [switches, stamps, copies, failed] = [0, 0, 0, 0];
  const copy = (): void => {
    stamp(source.bytes, ++stamps);
    session.memcpySync(source.iova, spaces.iova, size);
  };
  const extent = extentOf(target);
  const end = performance.now() + extent.longestMs;
  const enough = (): boolean => switches >= extent.switches || (switches >= FEWEST_SWITCHES && performance.now() > end);
  while (problems.length === 0 && !enough()) {
    const [before, after] = sidesOf(spaces, switches);
    racer.setArgument(0, spaces.attachCall(after).argument);
    racer.race(1, () => {
      do {
        copies++;
        try {
          copy();
          if (!holds(after.bytes, source.bytes, size) && !holds(before.bytes, source.bytes, size)) {
            problems.push(`switch ${switches}: a copy is in neither memory`);
          }
        } catch (error) {
          if (!(error instanceof VfioError)) throw error;
          failed++;
          if (mayFail === "no copy fails") problems.push(`switch ${switches}: ${error.message}`);
        }
      } while (racer.running);
    });
    const kept = Buffer.from(before.bytes);
    copy();
    if (!holds(after.bytes, source.bytes, size))
      problems.push(`switch ${switches}: a later copy is not in the new memory`);
    if (!kept.equals(before.bytes)) problems.push(`switch ${switches}: the old memory changed after it`);
    switches++;
  }
  note(`${switches} switches, ${copies} copies meanwhile, ${failed} of them failed`);
  expect(problems).toEqual([]);
  expect(racer.result(0)).toMatchObject({ succeeded: switches, failed: 0 });
}

/** Bytes of a copy: no more than the memory behind the IOVA. */
function pageOf({ copier }: AttachedRig): number {
  return Math.min(copier.size, PAGE_SIZE);
}

function extentOf({ full = false, kind }: SuiteTarget): { readonly switches: number; readonly longestMs: number } {
  return EXTENTS[full ? "full" : kind === "hardware" ? "hardware" : "lab"];
}

/** The side that a switch leaves, and the one that it goes to. The first one leaves the first side. */
function sidesOf({ sides: [first, second] }: TwoSpaces, number: number): readonly [Side, Side] {
  return number % 2 === 0 ? [first, second] : [second, first];
}

/** Makes the data of a copy different from every other's. */
function stamp(bytes: Uint8Array, number: number): void {
  new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2).fill(number);
}

function holds(memory: Uint8Array, data: Uint8Array, size: number): boolean {
  return Buffer.compare(memory.subarray(0, size), data.subarray(0, size)) === 0;
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + IN_FLIGHT_TIMEOUT_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`edu did not begin to write in ${IN_FLIGHT_TIMEOUT_MS} ms`);
    await pause(1);
  }
}

import type { IommuMode } from "@vfio-selftests/core";
import { eachMode, skip } from "@vfio-selftests/harness";
import { PseudoRandom } from "../rigs/dma/pseudo-random";
import { opensVfioContainer } from "../rigs/iommu/require-type1";
import { pinModes } from "../rigs/mediated/pin-modes";
import { BASE, MappedPinRig, PAGES, PinRig } from "../rigs/mediated/pin-rig";
import { OWN_BYTE, type PinStep, pinSteps } from "../rigs/mediated/pin-steps";
import { pageFrame } from "../rigs/memory/page-frame";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const FIRST = Number(BASE);
const LIMIT = 8;
/** Another process starts, which takes seconds on an emulated machine. */
const TIMEOUT_MS = 120_000;
/** Offsets and lengths: within a page, over a border by a little and by much, a whole page. */
const PIECES = [
  [5, 10],
  [PAGE_SIZE - 3, 6],
  [3 * PAGE_SIZE - 2000, 4000],
  [4 * PAGE_SIZE, PAGE_SIZE],
] as const;

/** A mediated device's reach into the memory of a process other than the one that asks for it. */
export function mdevPinningProcessesSuite(target: SuiteTarget): void {
  // Both versions of a container go the same way here, and a process takes seconds to start on an emulated machine.
  const modes = pinModes(target).filter(({ traits }) => traits.container?.type !== 1);

  describe("vfio_mdev_pinning_processes", () => {
    eachMode({ modes }, (mode) => {
      it("another_process_pins_our_memory_and_copies_it_where_it_may", () => reachesOurs(mode), TIMEOUT_MS);
      it("pins_of_an_ordinary_user_end_at_the_limit_and_outlive_it", () => reachesAnUsers(mode), TIMEOUT_MS);
    });
  });
}

/** vfio_iommu_type1_dma_rw_chunk; iopt_pages_rw_page, iopt_pages_rw_slow */
function reachesOurs(mode: IommuMode): void {
  using rig = new MappedPinRig(mode);
  new PseudoRandom(4).fill(rig.bytes);
  const before = Buffer.from(rig.bytes);
  const inverted = (offset: number, length: number) =>
    Array.from(before.subarray(offset, offset + length), (byte) => byte ^ 0xff);
  const copies = PIECES.flatMap(([offset, length]): PinStep[] => [
    { do: "read", iova: FIRST + offset, length },
    { do: "write", iova: FIRST + offset, bytes: inverted(offset, length) },
  ]);
  const [pin, ...copied] = pinSteps(rig.space, {
    steps: [{ do: "pin", iova: FIRST + PAGE_SIZE, pages: 3 }, ...copies],
  });

  // It pins our pages, and they count for us.
  const frames = [1n, 2n, 3n].map((page) => String(pageFrame(rig.memory.address + page * PAGE)));
  expect(pin).toEqual({ outcome: 3, bytes: [], frames, counted: [0, 0] });
  expect(rig.counted()).toEqual(rig.pages(3));
  expect([rig.space.pins.unpin(BASE + PAGE, 3), rig.counted()]).toEqual([0, rig.pages(0)]);

  // Type 1 copies for the process that mapped, and for the kernel's threads.
  expect(copied.map(({ outcome }) => outcome)).toEqual(copies.map(() => (rig.isType1 ? "EFAULT" : 0)));
  const expected = Buffer.from(before);
  if (!rig.isType1) {
    const read = copied.filter((_, number) => number % 2 === 0).map(({ bytes }) => Buffer.from(bytes));
    expect(read).toEqual(PIECES.map(([offset, length]) => before.subarray(offset, offset + length)));
    for (const [offset, length] of PIECES) expected.set(inverted(offset, length), offset);
  }
  expect(expected.equals(rig.bytes)).toBe(true);
  expect([copied.at(-1)?.counted, rig.counted()]).toEqual([[0, 0], rig.pages(0)]);
}

/** vfio_lock_acct, iopt_pages_update_pinned; then what is left of a process that has ended. */
function reachesAnUsers(mode: IommuMode): void {
  if (process.getuid?.() !== 0) {
    skip({ reason: "only root can lend a device to another user", remedy: "run as root, or in the lab" });
  }
  using rig = new PinRig(mode);
  const { pins } = rig.space;
  const at = (page: number, pages: number) => ({ iova: FIRST + page * PAGE_SIZE, pages });
  const results = pinSteps(rig.space, {
    limitPages: LIMIT,
    steps: [
      // To map pins nothing, so more than the limit can be mapped.
      { do: "map", ...at(0, 2 * PAGES) },
      { do: "pin", ...at(0, LIMIT + 1) },
      { do: "pin", ...at(0, 5) },
      { do: "pin", ...at(8, 4) },
      { do: "pin", ...at(8, 3) },
      { do: "pin", ...at(12, 1) },
      // A page that is pinned already counts once.
      { do: "pin", ...at(4, 1) },
      { do: "unpin", ...at(0, 5) },
      { do: "pin", ...at(12, 4) },
      { do: "pin", ...at(0, 1) },
      { do: "unpin", ...at(12, 4) },
      { do: "unpin", ...at(8, 3) },
      { do: "unpin", ...at(4, 1) },
      { do: "pin", ...at(0, 2) },
      { do: "read", iova: FIRST + PAGE_SIZE - 1, length: 2 },
    ],
  });
  expect(results.map(({ outcome }) => outcome)).toEqual([
    ...["ok", "ENOMEM", 5, "ENOMEM", 3, "ENOMEM", 1, 0, 4, "ENOMEM", 0, 0, 0],
    ...[2, 0],
  ]);
  expect(results.map(({ counted }) => counted)).toEqual(
    [0, 0, 5, 5, 8, 8, 8, 4, 8, 8, 4, 1, 0, 2, 2].map((pages) => countedOfUser(mode, pages)),
  );
  expect(results.at(-1)?.bytes).toEqual([OWN_BYTE, OWN_BYTE]);

  // The process has ended. What is not pinned went with it.
  const [notCopied, notPinned] = rig.isType1 ? ["EPERM", "ENODEV"] : ["EFAULT", "EFAULT"];
  expect(rig.counted()).toEqual([0, 0, 2]);
  expect(pins.read(BASE + 2n * PAGE, 1).outcome).toBe(notCopied);
  expect(pins.write(BASE + 3n * PAGE - 1n, Uint8Array.of(1, 2))).toBe(notCopied);
  expect(pins.pin(BASE + 2n * PAGE, 1).outcome).toBe(notPinned);
  // What is pinned is still there, and iommufd copies it.
  const kept = pins.read(BASE + PAGE - 1n, 2);
  if (rig.isType1) expect(kept.outcome).toBe("EPERM");
  else expect([kept.outcome, ...kept.bytes]).toEqual([0, OWN_BYTE, OWN_BYTE]);
  expect([pins.unpin(BASE, 2), rig.counted()]).toEqual([0, [0, 0, 0]]);
  expect([pins.read(BASE, 1).outcome, pins.pin(BASE, 1).outcome]).toEqual([notCopied, notPinned]);
  const bytes = 2 * PAGES * PAGE_SIZE;
  expect([rig.space.unmap(BASE, bytes), rig.counted()]).toEqual([
    ["ok", BigInt(bytes)],
    [0, 0, 0],
  ]);
}

/** Type 1 counts as mlock does, iommufd by pins; where it serves /dev/vfio/vfio, it does both (IOPT_PAGES_ACCOUNT_MM). */
function countedOfUser(mode: IommuMode, pages: number): [number, number] {
  if (mode.traits.mapsRegisters) return [pages, 0];
  return opensVfioContainer(mode) ? [pages, pages] : [0, pages];
}

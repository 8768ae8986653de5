import type { IommuMode } from "@vfio-selftests/core";
import {
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP as GET,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_START as START,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE as CAP_IOVA_RANGE,
  VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION as CAP_MIGRATION,
  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL as CAP_DMA_AVAIL,
} from "@vfio-selftests/core/uapi";
import { eachMode, fixture, skip } from "@vfio-selftests/harness";
import type { KernelFile } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { modesOf } from "../rigs/iommu/modes-of";
import { requireType1, vfioContainerModes } from "../rigs/iommu/require-type1";
import { reservedRegions, usableIovas } from "../rigs/iommu/reserved-regions";
import { BASE, MappedPinRig, PAGES, type PinRig } from "../rigs/mediated/pin-rig";
import type { PinSpace } from "../rigs/mediated/pin-space";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { codeOf } from "../rigs/raw/ask-kernel";
import { chainOf, info, rangesOf, ROOM } from "../rigs/raw/container-requests";
import { askDirtyPages, BITMAP_BYTES, bits, unmapDirtyPages } from "../rigs/raw/dirty-pages";
import { GroupFiles } from "../rigs/raw/group-files";
import { DeviceFile } from "../rigs/raw/iommufd-files";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const BYTES = PAGES * PAGE_SIZE;
/** Of all IOVAs. */
const LAST = (1n << 64n) - 1n;
/** The kernel gives no process its second page (vm.mmap_min_addr), and looks only when a device needs the memory. */
const NO_MEMORY = PAGE;
/** iommufd tells a device that leaves an address space to let go of all addresses. */
const EVERYTHING = { iova: 0n, length: (1n << 64n) - 1n };

/** Pins of a mediated device and what else there is in an address space: a PCI device, dirty bitmaps, another address space. */
export function mdevPinningSpacesSuite(target: SuiteTarget): void {
  const own = modesOf(target, "iommufd").slice(0, 1);
  const containers = target.modes.filter(({ traits }) => traits.container?.type === 2);

  describe("vfio_mdev_pinning_iommufd", () => {
    eachMode({ modes: own }, movesTests);
  });
  describe("vfio_mdev_pinning_type1", () => {
    eachMode({ modes: vfioContainerModes({ modes: containers }) }, (mode) => {
      requireType1(mode);
      dirtyTests(mode);
    });
  });
  fixture("vfio_mdev_pinning_beside_pci", target, (address) => {
    eachMode({ modes: [...containers, ...own] }, (mode) => {
      it("pins_stay_when_the_pci_device_comes_and_goes", () => {
        using rig = new MappedPinRig(mode);
        expect(rig.space.pins.pin(BASE, 2).outcome).toBe(2);
        expect(rig.counted()).toEqual(rig.pages(2));
        {
          using _pci = new PciBeside(mode, address, rig.space);
          // Type 1 pins a page for each of both, and counts it once; iommufd pins it once.
          expect(rig.counted()).toEqual(rig.isType1 ? [PAGES, 0, PAGES + 2] : rig.pages(PAGES));
        }
        expect(rig.counted()).toEqual(rig.pages(2));
        expect(rig.space.pins.unpin(BASE, 2)).toBe(0);
        expect(rig.counted()).toEqual(rig.pages(0));
      });

      it("a_page_that_the_pci_device_has_counts_no_more_when_it_is_pinned", () => {
        using rig = new MappedPinRig(mode);
        rig.skipWhereLockdepWatches();
        using _pci = new PciBeside(mode, address, rig.space);
        expect(rig.counted()).toEqual(rig.pages(PAGES));
        expect(rig.space.pins.pin(BASE + PAGE, 3).outcome).toBe(3);
        expect(rig.counted()).toEqual(rig.isType1 ? [PAGES, 0, PAGES + 3] : rig.pages(PAGES));
        expect(rig.space.pins.unpin(BASE + PAGE, 3)).toBe(0);
        expect(rig.counted()).toEqual(rig.pages(PAGES));
        expect(rig.space.pins.pin(BASE + PAGE, 3).outcome).toBe(3);
        expect(rig.space.unmap(BASE, BYTES)).toEqual(["ok", BigInt(BYTES)]);
        expect(rig.counted()).toEqual(rig.pages(0));
        expect(rig.space.pins.unmaps()).toEqual({ count: 1, iova: BASE, length: BigInt(BYTES) });
      });

      it("pci_device_does_not_join_over_what_it_cannot_reach", () => {
        using rig = new MappedPinRig(mode);
        const reserved = reservedRegions(address).find(({ type }) => type !== "direct-relaxable");
        if (reserved === undefined) {
          skip({ reason: "the device's IOMMU reserves no IOVAs", remedy: "use another IOMMU: lab run --iommu intel" });
        }
        expect(rig.space.pins.pin(BASE, 2).outcome).toBe(2);
        const kept = { iova: reserved.start, vaddr: rig.memory.address, length: PAGE_SIZE };
        const without = { iova: BASE + BigInt(BYTES), vaddr: NO_MEMORY, length: PAGE_SIZE };
        // vfio_iommu_resv_conflict, vfio_iommu_replay; iopt_reserve_iova, iopt_fill_domain: after the pages of BASE.
        for (const [mapping, refusal] of [
          [kept, rig.isType1 ? "EINVAL" : "EADDRINUSE"],
          [without, "EFAULT"],
        ] as const) {
          expect(rig.space.map(mapping)).toBe("ok");
          expect(joins(mode, address, rig.space)).toBe(refusal);
          // Nothing of the attempt is left, and the mediated device works on.
          expect(rig.counted()).toEqual(rig.pages(2));
          expect(rig.space.pins.read(BASE, 1).outcome).toBe(0);
          expect(rig.space.unmap(mapping.iova, PAGE_SIZE)).toEqual(["ok", PAGE]);
        }
        expect([joins(mode, address, rig.space), rig.counted()]).toEqual(["ok", rig.pages(2)]);
      });
    });

    eachMode({ modes: vfioContainerModes({ modes: containers }) }, (mode) => {
      requireType1(mode);
      it("pages_that_the_pci_device_left_may_be_dirty", () => {
        using rig = new MappedPinRig(mode);
        const all = Array.from({ length: PAGES }, (_, page) => page);
        expect(rig.space.pins.pin(BASE + PAGE, 1).outcome).toBe(1);
        expect([dirtyOf(rig, START), dirtyOf(rig, GET)]).toEqual([[], [1]]);
        {
          using _pci = new PciBeside(mode, address, rig.space);
          // Nobody sees what it writes (num_non_pinned_groups), however often one asks.
          expect([dirtyOf(rig, GET), dirtyOf(rig, GET)]).toEqual([all, all]);
        }
        // vfio_iommu_populate_bitmap_full: once more, and then only what is pinned.
        expect([dirtyOf(rig, GET), dirtyOf(rig, GET)]).toEqual([all, [1]]);
      });

      it("container_tells_of_an_iommu_while_the_pci_device_is_there", () => {
        using rig = new MappedPinRig(mode);
        const told = () => {
          const { capabilities, pageSizes } = chainOf(info({ container: containerOf(rig) }, ROOM));
          return { ids: Object.keys(capabilities).map(Number), pageSizes, ranges: rangesOf(capabilities) };
        };
        const anyPage = BigInt.asUintN(64, -PAGE);
        const always = [CAP_MIGRATION, CAP_DMA_AVAIL];
        // vfio_iommu_iova_build_caps: no range is known yet.
        expect(told()).toEqual({ ids: always, pageSizes: anyPage, ranges: [] });
        {
          using _pci = new PciBeside(mode, address, rig.space);
          const { ids, pageSizes, ranges } = told();
          expect(new Set(ids)).toEqual(new Set([CAP_IOVA_RANGE, ...always]));
          expect([pageSizes & PAGE, pageSizes & ~anyPage, pageSizes === anyPage]).toEqual([PAGE, 0n, false]);
          expect(ranges).toEqual(usableIovas(address, ranges.at(-1)?.last ?? 0n));
        }
        // vfio_iommu_aper_expand, vfio_iommu_resv_refresh, vfio_update_pgsize_bitmap
        expect(told()).toMatchObject({ pageSizes: anyPage, ranges: [{ start: 0n, last: LAST }] });
      });
    });
  });
}

/** vfio_iommufd_emulated_attach_ioas, vfio_iommufd_emulated_detach_ioas */
function movesTests(mode: IommuMode): void {
  it("pins_end_when_the_device_leaves_its_address_space", () => {
    using rig = new MappedPinRig(mode);
    const { pins, iommufd } = rig.space;
    const [device] = iommufd?.devices ?? [];
    if (iommufd === undefined || device === undefined) throw new Error("the device is in no iommufd");
    const other = iommufd.file.newIoas();
    const mapping = { ioas: other, vaddr: rig.memory.address + 4n * PAGE, iova: BASE, length: PAGE_SIZE };
    expect(iommufd.file.map(mapping).code).toBe("ok");
    const before = pins.pin(BASE, 3);
    expect([before.outcome, rig.counted()]).toEqual([3, rig.pages(3)]);

    expect(device.attach(other).code).toBe("ok");
    expect([pins.unmaps(), rig.counted()]).toEqual([{ count: 1, ...EVERYTHING }, rig.pages(0)]);
    rig.bytes[4 * PAGE_SIZE] = 0x5a;
    expect([...pins.read(BASE, 1).bytes]).toEqual([0x5a]);
    expect(pins.pin(BASE, 2).outcome).toBe("ENOENT");
    expect([pins.pin(BASE, 1).outcome, rig.counted()]).toEqual([1, rig.pages(1)]);

    expect(device.detach()).toBe("ok");
    expect([pins.unmaps(), rig.counted()]).toEqual([{ count: 2, ...EVERYTHING }, rig.pages(0)]);
    expect([pins.pin(BASE, 1).outcome, pins.read(BASE, 1).outcome]).toEqual(["ENOENT", "ENOENT"]);

    expect(device.attach(iommufd.ioas).code).toBe("ok");
    expect(pins.pin(BASE, 3)).toEqual(before);
    // Nothing changes where it is already.
    expect([device.attach(iommufd.ioas).code, rig.counted()]).toEqual(["ok", rig.pages(3)]);
  });
}

/** vfio_dma_populate_bitmap: what a driver pins or writes is dirty. */
function dirtyTests(mode: IommuMode): void {
  it("dirty_pages_are_those_that_are_pinned_or_were_written", () => {
    using rig = new MappedPinRig(mode);
    const { pins } = rig.space;
    const ask = (flags: number) => dirtyOf(rig, flags);
    expect(pins.pin(BASE + PAGE, 1).outcome).toBe(1);
    expect(ask(START)).toEqual([]);
    expect(ask(GET)).toEqual([1]);
    expect(pins.write(BASE + 4n * PAGE - 1n, Uint8Array.of(1, 2))).toBe(0);
    expect(pins.read(BASE + 7n * PAGE, 1).outcome).toBe(0);
    expect(pins.pin(BASE + 5n * PAGE, 2).outcome).toBe(2);
    expect(ask(GET)).toEqual([1, 3, 4, 5, 6]);
    // A page that is pinned may be written at any time.
    expect(ask(GET)).toEqual([1, 5, 6]);
    expect(pins.unpin(BASE + 5n * PAGE, 2)).toBe(0);
    // They may have been written until they were unpinned.
    expect(ask(GET)).toEqual([1, 5, 6]);
    expect(ask(GET)).toEqual([1]);
  });

  it("dirty_pages_are_told_once_more_by_the_unmap", () => {
    using rig = new MappedPinRig(mode);
    const { pins } = rig.space;
    const whole = { iova: BASE, size: BigInt(BYTES) };
    expect(dirtyOf(rig, START)).toEqual([]);
    expect(pins.write(BASE, Uint8Array.of(1))).toBe(0);
    expect(dirtyOf(rig, GET)).toEqual([0]);
    expect([pins.write(BASE + 4n * PAGE - 1n, Uint8Array.of(1, 2)), pins.read(BASE + 7n * PAGE, 1).outcome]).toEqual([
      0, 0,
    ]);
    expect([pins.pin(BASE + 5n * PAGE, 2).outcome, pins.unpin(BASE + 5n * PAGE, 2)]).toEqual([2, 0]);
    const bitmap = new Uint8Array(BITMAP_BYTES);
    expect(unmapDirtyPages(containerOf(rig), whole, bitmap)).toEqual({ code: "ok", bytes: whole.size });
    expect([bits(bitmap), pins.read(BASE, 1).outcome]).toEqual([[3, 4, 5, 6], "EINVAL"]);
  });
}

/** VFIO_IOMMU_DIRTY_PAGES of all the memory: the pages that are told, or the errno's name. */
function dirtyOf(rig: PinRig, flags: number): number[] | string {
  const bitmap = new Uint8Array(BITMAP_BYTES);
  const code = askDirtyPages(containerOf(rig), { flags, iova: BASE, size: BigInt(BYTES) }, bitmap);
  return code === "ok" ? bits(bitmap) : code;
}

function containerOf({ space }: PinRig): KernelFile {
  if (space.container === undefined) throw new Error("the mode has no container");
  return space.container;
}

/** What the kernel says when the PCI device joins, and leaves again. */
function joins(mode: IommuMode, address: string, { container, iommufd }: PinSpace): string {
  if (container !== undefined) {
    using group = new GroupFiles(mode, address);
    const code = group.setContainer(container.descriptor("VFIO_GROUP_SET_CONTAINER"));
    if (code !== "ok" || group.isType1) return code;
    // iommufd takes the device with its file (vfio_iommufd_compat_attach_ioas).
    const descriptor = group.deviceDescriptor();
    if (descriptor >= 0) native.close(descriptor);
    return codeOf(descriptor);
  }
  if (iommufd === undefined) throw new Error("the address space is no iommufd's");
  using device = new DeviceFile(address);
  expect(device.bind(iommufd.file).code).toBe("ok");
  return device.attach(iommufd.ioas).code;
}

/** A PCI device in the same address space. */
class PciBeside implements Disposable {
  readonly #group: GroupFiles | undefined;
  readonly #device: Disposable;

  constructor(mode: IommuMode, address: string, space: PinSpace) {
    if (space.container === undefined) {
      const device = new DeviceFile(address);
      this.#device = device;
      const { iommufd } = space;
      if (iommufd === undefined) throw new Error("the address space is no iommufd's");
      expect([device.bind(iommufd.file).code, device.attach(iommufd.ioas).code]).toEqual(["ok", "ok"]);
    } else {
      this.#group = new GroupFiles(mode, address);
      expect(this.#group.setContainer(space.container.descriptor("VFIO_GROUP_SET_CONTAINER"))).toBe("ok");
      const file = this.#group.openDevice();
      this.#device = { [Symbol.dispose]: () => file.close() };
    }
  }

  [Symbol.dispose](): void {
    this.#device[Symbol.dispose]();
    // Type 1 holds the pages until the group leaves.
    if (this.#group !== undefined) expect(["ok", "EINVAL"]).toContain(this.#group.unsetContainer());
    this.#group?.[Symbol.dispose]();
  }
}

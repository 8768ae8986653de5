import type { IommuMode } from "@vfio-selftests/core";
import {
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP as GET,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_START as START,
} from "@vfio-selftests/core/uapi";
import { eachMode, fixture } from "@vfio-selftests/harness";
import { requireType1, vfioContainerModes } from "../rigs/iommu/require-type1";
import { BASE, MappedPinRig, PAGES } from "../rigs/mediated/pin-rig";
import type { PinSpace } from "../rigs/mediated/pin-space";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { askDirtyPages, BITMAP_BYTES, bits } from "../rigs/raw/dirty-pages";
import { GroupFiles } from "../rigs/raw/group-files";
import { DeviceFile } from "../rigs/raw/iommufd-files";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const BYTES = PAGES * PAGE_SIZE;
/** iommufd tells a device that leaves an address space to let go of all addresses. */
const EVERYTHING = { iova: 0n, length: (1n << 64n) - 1n };

/** Pins of a mediated device and what else there is in an address space: a PCI device, dirty bitmaps, another address space. */
export function mdevPinningSpacesSuite(target: SuiteTarget): void {
  const own = target.modes
    .filter(({ traits }) => traits.api === "iommufd" && traits.container === undefined)
    .slice(0, 1);
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
    const { pins, container } = rig.space;
    if (container === undefined) throw new Error("the mode has no container");
    const ask = (flags: number): number[] | string => {
      const bitmap = new Uint8Array(BITMAP_BYTES);
      const code = askDirtyPages(container, { flags, iova: BASE, size: BigInt(BYTES) }, bitmap);
      return code === "ok" ? bits(bitmap) : code;
    };
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

import { DmaMemory, type IommuMode } from "@vfio-selftests/core";
import {
  VFIO_CHECK_EXTENSION,
  VFIO_DEVICE_RESET,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_VADDR,
  VFIO_IOMMU_MAP_DMA,
  vfio_iommu_type1_dma_map,
  vfio_iommu_type1_dma_unmap,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_UPDATE_VADDR,
} from "@vfio-selftests/core/uapi";
import { eachMode, fixture, requireMode } from "@vfio-selftests/harness";
import type { KernelFile } from "@vfio-selftests/iommu-modes";
import { modesOf } from "../rigs/iommu/modes-of";
import { requireType1, vfioContainerModes } from "../rigs/iommu/require-type1";
import { isOlderThan } from "../rigs/kernel/brought-by-linux";
import { CardFile } from "../rigs/mediated/card-file";
import { MediatedDevice, SERIAL_CARDS } from "../rigs/mediated/mediated-device";
import { SCRATCH, SerialCard } from "../rigs/mediated/serial-card";
import { expectInterrupts, expectSerialCard } from "../rigs/mediated/serial-card-checks";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { pinnedPages } from "../rigs/memory/pinned-pages";
import { lockedMemory } from "../rigs/ordinary-user/locked-memory";
import { askKernel, askPlainly, resultOf } from "../rigs/raw/ask-kernel";
import { GroupFiles } from "../rigs/raw/group-files";
import type { SuiteTarget } from "../suite-target";

const BASE = 0x4000_0000n;
const PAGES = 4;
const READ_WRITE = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
const UNKNOWN = 0x7fff_fff0;

/** Devices that the kernel makes up and no IOMMU isolates: VFIO's emulated side, on the kernel's sample of a mediated device. */
export function mediatedDeviceSuite(target: SuiteTarget): void {
  const containers = target.modes.filter(({ traits }) => traits.container !== undefined);
  const [own] = modesOf(target, "iommufd");

  describe("vfio_mediated_device", () => {
    it("is_counted_while_it_is_there", () => {
      using _first = new MediatedDevice(SERIAL_CARDS[1]);
      const before = MediatedDevice.available(SERIAL_CARDS[2]) ?? 0;
      const ports = MediatedDevice.available(SERIAL_CARDS[1]) ?? 0;
      {
        using _second = new MediatedDevice(SERIAL_CARDS[2]);
        expect([MediatedDevice.available(SERIAL_CARDS[1]), MediatedDevice.available(SERIAL_CARDS[2])]).toEqual([
          ports - 2,
          Math.floor((ports - 2) / 2),
        ]);
      }
      expect([MediatedDevice.available(SERIAL_CARDS[1]), MediatedDevice.available(SERIAL_CARDS[2])]).toEqual([
        ports,
        before,
      ]);
    });

    eachMode({ modes: containers }, (mode) => {
      it("answers_by_its_group", () => {
        using device = new MediatedDevice(SERIAL_CARDS[2]);
        using files = openedGroup(device, mode);
        using card = new SerialCard(files.openDevice());
        expectSerialCard(card);
        expectInterrupts(card);
      });

      it("is_given_more_than_once_and_holds_its_group", () => {
        using device = new MediatedDevice();
        using files = openedGroup(device, mode);
        using first = new SerialCard(files.openDevice());
        using second = new SerialCard(files.openDevice());
        first.write(0, SCRATCH, 0x77);
        expect([...second.read(0, SCRATCH)]).toEqual([0x77]);
        // An iommufd is let go at any time.
        const held = mode.traits.mapsRegisters ? "EBUSY" : "ok";
        expect(files.unsetContainer()).toBe(held);
        first[Symbol.dispose]();
        expect([...second.read(0, SCRATCH)]).toEqual([0x77]);
        expect(files.unsetContainer()).toBe(mode.traits.mapsRegisters ? "EBUSY" : "EINVAL");
        second[Symbol.dispose]();
        expect(files.unsetContainer()).toBe(mode.traits.mapsRegisters ? "ok" : "EINVAL");
        expect(files.deviceDescriptor()).toBeLessThan(0);
      });

      it("shares_its_container_with_another_and_leaves_it_alone", () => {
        using device = new MediatedDevice();
        using other = new MediatedDevice();
        using memory = DmaMemory.allocate(PAGES * PAGE_SIZE);
        using files = openedGroup(device, mode);
        using guests = other.group(mode);
        const shared = files.container.descriptor("VFIO_GROUP_SET_CONTAINER");
        expect(guests.setContainer(shared)).toBe("ok");
        using card = new SerialCard(guests.openDevice());
        expect(map(files.container, memory)).toBe("ok");
        expect(files.unsetContainer()).toBe("ok");
        // The mapping belongs to the container, and the other card still is in it.
        expect(map(files.container, memory)).toBe("EEXIST");
        card.write(0, SCRATCH, 0x3a);
        expect([...card.read(0, SCRATCH)]).toEqual([0x3a]);
        expect(files.setContainer(shared)).toBe("ok");
        expect(unmap(files.container)).toEqual(["ok", BigInt(memory.length)]);
      });

      it("pins_nothing_of_what_is_mapped", () => {
        using device = new MediatedDevice();
        using files = openedGroup(device, mode);
        using _card = new SerialCard(files.openDevice());
        using memory = DmaMemory.allocate(PAGES * PAGE_SIZE);
        const before = [lockedMemory(), pinnedPages()];
        expect(map(files.container, memory)).toBe("ok");
        expect([lockedMemory(), pinnedPages()]).toEqual(before);
        expect(map(files.container, memory)).toBe("EEXIST");
        expect(unmap(files.container)).toEqual(["ok", BigInt(memory.length)]);
        expect(map(files.container, memory)).toBe("ok");
        expect(unmap(files.container)).toEqual(["ok", BigInt(memory.length)]);
      });
    });

    if (own !== undefined) {
      describe("iommufd", () => {
        requireMode(own);
        cdevTests();
      });
    }
  });

  const vfios = vfioContainerModes(target);
  if (vfios.length === 0) return;
  fixture("vfio_mediated_beside_pci", target, (address) => {
    eachMode({ modes: vfios }, (mode) => {
      requireType1(mode);
      it("pages_are_pinned_while_the_pci_device_is_there", () => {
        using device = new MediatedDevice();
        using memory = DmaMemory.allocate(PAGES * PAGE_SIZE);
        using pci = new GroupFiles(mode, address);
        expect([pci.setContainer(), pci.setIommu()]).toEqual(["ok", "ok"]);
        using mediated = device.group(mode);
        expect(mediated.setContainer(pci.container.descriptor("VFIO_GROUP_SET_CONTAINER"))).toBe("ok");
        const [locked, pinned] = [lockedMemory().locked, pinnedPages()];
        const counted = () => [lockedMemory().locked - locked, pinnedPages() - pinned];
        expect(map(pci.container, memory)).toBe("ok");
        expect(counted()).toEqual([PAGES, PAGES]);
        // The mapping stays for the mediated device, of which no page is pinned (vfio_iommu_unmap_unpin_reaccount).
        expect(pci.unsetContainer()).toBe("ok");
        expect(counted()).toEqual([0, 0]);
        expect(map(pci.container, memory)).toBe("EEXIST");
        // It comes back for the device that returns (vfio_iommu_replay).
        expect(pci.setContainer()).toBe("ok");
        expect(counted()).toEqual([PAGES, PAGES]);
        expect(mediated.unsetContainer()).toBe("ok");
        expect(counted()).toEqual([PAGES, PAGES]);
        expect(unmap(pci.container)).toEqual(["ok", BigInt(memory.length)]);
        expect(counted()).toEqual([0, 0]);
      });

      it("joins_no_container_in_which_memory_has_no_address", () => {
        using device = new MediatedDevice();
        using memory = DmaMemory.allocate(PAGES * PAGE_SIZE);
        using pci = new GroupFiles(mode, address);
        expect([pci.setContainer(), pci.setIommu(), map(pci.container, memory)]).toEqual(["ok", "ok", "ok"]);
        using mediated = device.group(mode);
        const join = () => mediated.setContainer(pci.container.descriptor("VFIO_GROUP_SET_CONTAINER"));
        const canUpdate = () => resultOf(pci.container, { VFIO_CHECK_EXTENSION }, VFIO_UPDATE_VADDR);
        expect(canUpdate()).toBe(1);
        expect(unmap(pci.container, VFIO_DMA_UNMAP_FLAG_VADDR)[0]).toBe("ok");
        // To join might pin pages, of which nobody knows where they are (vfio_iommu_type1_attach_group).
        expect(join()).toBe("EBUSY");
        expect(unmap(pci.container)[0]).toBe("ok");
        expect([map(pci.container, memory), join()]).toEqual(["ok", "ok"]);
        // Nor can addresses go while it is there (vfio_dma_do_unmap), which the extension tells.
        expect([canUpdate(), unmap(pci.container, VFIO_DMA_UNMAP_FLAG_VADDR)[0]]).toEqual([0, "EBUSY"]);
        expect(mediated.unsetContainer()).toBe("ok");
        expect([canUpdate(), unmap(pci.container, VFIO_DMA_UNMAP_FLAG_VADDR)[0]]).toEqual([1, "ok"]);
      });

      it("mappings_end_with_the_last_of_both", () => {
        using device = new MediatedDevice();
        using memory = DmaMemory.allocate(PAGES * PAGE_SIZE);
        using mediated = device.group(mode);
        expect([mediated.setContainer(), mediated.setIommu()]).toEqual(["ok", "ok"]);
        expect(map(mediated.container, memory)).toBe("ok");
        using pci = new GroupFiles(mode, address);
        const pinned = pinnedPages();
        expect(pci.setContainer(mediated.container.descriptor("VFIO_GROUP_SET_CONTAINER"))).toBe("ok");
        expect(pinnedPages() - pinned).toBe(PAGES);
        expect(mediated.unsetContainer()).toBe("ok");
        expect(map(mediated.container, memory)).toBe("EEXIST");
        expect(pci.unsetContainer()).toBe("ok");
        expect(pinnedPages() - pinned).toBe(0);
        // Without a group the container has no IOMMU any more.
        expect(map(mediated.container, memory)).toBe("EINVAL");
        expect([mediated.setContainer(), mediated.setIommu(), map(mediated.container, memory)]).toEqual([
          "ok",
          "ok",
          "ok",
        ]);
      });
    });
  });
}

/** By the device's own file. */
function cdevTests(): void {
  it("answers_by_its_own_file", () => {
    using rig = new CardFile(2);
    using card = rig.bound();
    expectSerialCard(card);
    expectInterrupts(card);
  });

  it("is_bound_once_and_then_an_object_of_the_iommufd", () => {
    using rig = new CardFile();
    expect(askPlainly(rig.file.file, { VFIO_DEVICE_RESET })).toBe("EINVAL");
    const { code, id } = rig.file.bind(rig.iommufd);
    expect(code).toBe("ok");
    expect(rig.file.bind(rig.iommufd).code).toBe("EINVAL");
    expect(id).toBeGreaterThan(0);
    // The user's IOMMU_DESTROY must not take it from the kernel.
    expect(rig.iommufd.destroy(id)).toBe("EBUSY");
    rig.file.file.close();
    expect(rig.iommufd.destroy(id)).toBe("ENOENT");
  });

  it("moves_between_address_spaces_and_holds_the_one_where_it_is", () => {
    using rig = new CardFile();
    using _card = rig.bound();
    const [first, second] = [rig.iommufd.newIoas(), rig.iommufd.newIoas()];
    expect(rig.file.attach(first)).toEqual({ code: "ok", id: first });
    expect([rig.iommufd.destroy(first), rig.file.attach(first).code]).toEqual(["EBUSY", "ok"]);
    expect(rig.file.attach(second)).toEqual({ code: "ok", id: second });
    expect([rig.iommufd.destroy(first), rig.iommufd.destroy(second)]).toEqual(["ok", "EBUSY"]);
    expect(rig.file.attach(first).code).toBe("ENOENT");
    // A refused move leaves it where it was.
    expect(rig.iommufd.destroy(second)).toBe("EBUSY");
    expect([rig.file.detach(), rig.file.detach()]).toEqual(["ok", "ok"]);
    expect(rig.iommufd.destroy(second)).toBe("ok");
  });

  it("has_no_page_table_and_no_pasid", () => {
    using rig = new CardFile();
    using _card = rig.bound();
    const ioas = rig.iommufd.newIoas();
    expect(rig.file.attach(UNKNOWN).code).toBe("ENOENT");
    // Before it knew PASIDs, the kernel refused the flag.
    expect(rig.file.attach(ioas, 1).code).toBe(isOlderThan("6.15") ? "EINVAL" : "EOPNOTSUPP");
    expect(rig.iommufd.newPageTable(rig.id, ioas).code).toBe("ENOENT");
    expect(rig.file.attach(ioas).code).toBe("ok");
  });

  it("mappings_of_its_space_are_unmapped_freely", () => {
    using rig = new CardFile();
    using _card = rig.bound();
    using memory = DmaMemory.allocate(PAGES * PAGE_SIZE);
    const ioas = rig.iommufd.newIoas();
    const pinned = pinnedPages();
    const length = BigInt(memory.length);
    expect(rig.iommufd.map({ ioas, vaddr: memory.address, length, iova: BASE }).code).toBe("ok");
    expect(rig.file.attach(ioas).code).toBe("ok");
    expect(pinnedPages() - pinned).toBe(0);
    expect(rig.iommufd.unmap(ioas, BASE, length)).toEqual({ code: "ok", length });
  });

  it("lets_go_of_its_space_when_it_is_closed", () => {
    using rig = new CardFile();
    const ioas = rig.iommufd.newIoas();
    {
      using _card = rig.bound();
      expect(rig.file.attach(ioas).code).toBe("ok");
      expect(rig.iommufd.destroy(ioas)).toBe("EBUSY");
    }
    expect(rig.iommufd.destroy(ioas)).toBe("ok");
  });
}

function openedGroup(device: MediatedDevice, mode: IommuMode): GroupFiles {
  const files = device.group(mode);
  expect([files.setContainer(), files.setIommu()]).toEqual(["ok", "ok"]);
  return files;
}

function map(container: KernelFile, memory: DmaMemory): string {
  const values = { flags: READ_WRITE, vaddr: memory.address, iova: BASE, size: memory.length };
  return askKernel(container, { VFIO_IOMMU_MAP_DMA }, vfio_iommu_type1_dma_map, values).code;
}

function unmap(container: KernelFile, flags = 0): [string, bigint] {
  const values = { flags, iova: BASE, size: PAGES * PAGE_SIZE };
  const layout = vfio_iommu_type1_dma_unmap;
  const { code, view } = askKernel(container, { VFIO_IOMMU_UNMAP_DMA }, layout, values);
  return [code, layout.fields.size.get(view)];
}

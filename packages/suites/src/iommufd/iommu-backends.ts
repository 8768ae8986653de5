import { createHash } from "node:crypto";
import { DmaMemory, Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { errorWithCode, fixture, note, requireMode, skip } from "@vfio-selftests/harness";
import { autoMode, createAutoMode, type IoAddressSpace, iommufdDeviceOf, iommufdOf } from "@vfio-selftests/iommu-modes";
import { CopyRig } from "../rigs/dma/copy-rig";
import { PseudoRandom } from "../rigs/dma/pseudo-random";
import { modesOf } from "../rigs/iommu/modes-of";
import { requireIommufd } from "../rigs/kernel/require-iommufd";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { codeOfError } from "../rigs/raw/code-of-error";
import type { SuiteTarget } from "../suite-target";

const SEED = 0x2_0000_1d;
const ROUNDS = 2;
const AREA = 16 * PAGE_SIZE;
const COPIES = 50;
const SOURCE_IOVA = 0x0400_0000n;
const DESTINATION_IOVA = 0x0800_0000n;

/** VFIO's containers and iommufd side by side: what a program that can use either (QEMU, for one) relies on. */
export function iommuBackendsSuite(target: SuiteTarget): void {
  const [iommufd] = modesOf(target, "iommufd");
  const containers = modesOf(target, "container");

  fixture("vfio_iommu_backends", target, (address) => {
    it("device_moves_between_backends", () => {
      const modes = modesOfBothBackends(target.modes);
      for (let round = 0; round < ROUNDS; round++) {
        for (const mode of modes) {
          using rig = new CopyRig(target, mode, [address]);
          expect(rig.iommu.mode).toBe(mode.name);
          rig.copier.copy();
        }
      }
      note(`${ROUNDS} rounds over ${modes.map(({ name }) => name).join(", ")}`);
    });

    it("same_mappings_give_the_same_dma", () => {
      const digests = modesOfBothBackends(target.modes).map((mode) => ({
        mode: mode.name,
        seen: dmaDigest(target, mode, address),
      }));
      const [first] = digests;
      expect(digests).toEqual(digests.map(({ mode }) => ({ mode, seen: first?.seen })));
    });

    it("same_mappings_are_refused", () => {
      const answers = modesOfBothBackends(target.modes).map((mode) => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(AREA);
        using _region = iommu.map(memory, { iova: SOURCE_IOVA });
        return { mode: mode.name, overlap: codeOfError(() => iommu.map(memory, { iova: SOURCE_IOVA })) };
      });
      expect(answers).toEqual(answers.map(({ mode }) => ({ mode, overlap: "EEXIST" })));
    });

    it("one_backend_at_a_time", () => {
      requireIommufd();
      for (const mode of containers.filter(isAvailable)) {
        using container = new Iommu(mode.open());
        using other = new Iommu(required(iommufd).open());
        const held = PciDevice.open(container, address);
        // vfio_device_block_group
        expect(() => PciDevice.open(other, address)).toThrow(errorWithCode("EBUSY"));
        held.close();
        container.close();
        using _now = PciDevice.open(other, address);
        using again = new Iommu(mode.open());
        // vfio_group_fops_open
        expect(() => PciDevice.open(again, address)).toThrow(errorWithCode("EBUSY"));
      }
    });

    // QEMU's three choices: its iommufd object is named, is not, or is left to the machine.
    const backends = {
      backend_on: () => required(iommufd),
      backend_off: () => createAutoMode(requireContainers(containers)),
      backend_auto: () => autoMode,
    };
    for (const [name, choose] of Object.entries(backends)) {
      it(name, () => {
        const mode = choose();
        const availability = mode.availability();
        if (!availability.available) skip(availability);
        using rig = new CopyRig(target, mode, [address]);
        rig.copier.copy();
        const { mode: taken } = rig.iommu;
        if (name === "backend_on") expect(taken).toBe("iommufd");
        if (name === "backend_off") expect(taken).not.toBe("iommufd");
        if (name === "backend_auto" && iommufd !== undefined && isAvailable(iommufd)) expect(taken).toBe("iommufd");
        note(`took ${taken}`);
      });
    }
  });

  if (iommufd === undefined) return;
  fixture("iommufd_ioas_copy", target, (address) => {
    requireMode(iommufd);

    it("device_finds_its_memory_in_both", () => {
      using rig = new CopyRig(target, iommufd, [address]);
      const { copier } = rig;
      const elsewhere = copyOfSpace(rig.iommu);
      const device = iommufdDeviceOf(copier.device.vfio);
      copier.copy();
      for (let round = 0; round < ROUNDS; round++) {
        device.attach(elsewhere);
        copier.copy();
        device.attach(iommufdOf(rig.iommu).ioas);
        copier.copy();
      }
      elsewhere.close();
    });

    it("copy_outlives_the_original", () => {
      using rig = new CopyRig(target, iommufd, [address]);
      const { copier } = rig;
      const elsewhere = copyOfSpace(rig.iommu);
      const device = iommufdDeviceOf(copier.device.vfio);
      device.attach(elsewhere);
      copier.source.unmap();
      copier.destination.unmap();
      copier.copy();
      device.attach(iommufdOf(rig.iommu).ioas);
      elsewhere.close();
    });

    it("kernel_chooses_the_iova_there", () => {
      using iommu = new Iommu(iommufd.open());
      using memory = DmaMemory.allocate(AREA);
      using region = iommu.map(memory, { iova: SOURCE_IOVA });
      const door = iommufdOf(iommu);
      const elsewhere = door.newIoas();
      const iova = elsewhere.copyMapping(door.ioas, { sourceIova: region.iova, length: AREA });
      expect(elsewhere.unmap(iova, BigInt(AREA))).toBe(BigInt(AREA));
      expect(region.unmap()).toBe(BigInt(AREA));
      elsewhere.close();
    });

    it("part_of_a_mapping", () => {
      using iommu = new Iommu(iommufd.open());
      using memory = DmaMemory.allocate(AREA);
      using region = iommu.map(memory, { iova: SOURCE_IOVA });
      const door = iommufdOf(iommu);
      const elsewhere = door.newIoas();
      const part = { sourceIova: region.iovaOf(AREA / 2), length: AREA / 4 };
      expect(elsewhere.copyMapping(door.ioas, { ...part, iova: DESTINATION_IOVA })).toBe(DESTINATION_IOVA);
      expect(elsewhere.unmap(DESTINATION_IOVA, BigInt(AREA / 4))).toBe(BigInt(AREA / 4));
      elsewhere.close();
    });

    it("what_is_not_mapped_cannot_be_copied", () => {
      using iommu = new Iommu(iommufd.open());
      using memory = DmaMemory.allocate(AREA);
      using region = iommu.map(memory, { iova: SOURCE_IOVA });
      const door = iommufdOf(iommu);
      const elsewhere = door.newIoas();
      const copy = (sourceIova: bigint, length: number) => () =>
        elsewhere.copyMapping(door.ioas, { sourceIova, length, iova: DESTINATION_IOVA });
      expect(copy(DESTINATION_IOVA, AREA)).toThrow(errorWithCode("ENOENT"));
      // Neither can an area that reaches beyond the mapping.
      expect(copy(region.iova, 2 * AREA)).toThrow(errorWithCode("ENOENT"));
      copy(region.iova, AREA)();
      expect(copy(region.iova, AREA)).toThrow(errorWithCode("EEXIST"));
      elsewhere.close();
    });
  });
}

/** The digest of all memory after a device's copies in it, which is mapped at fixed IOVAs. */
function dmaDigest(target: SuiteTarget, mode: IommuMode, address: string): string {
  using rig = new CopyRig(target, mode, [address]);
  using memory = DmaMemory.allocate(2 * AREA);
  using source = rig.iommu.map(memory, { iova: SOURCE_IOVA, length: AREA });
  using destination = rig.iommu.map(memory, { iova: DESTINATION_IOVA, offset: AREA, length: AREA });
  const random = new PseudoRandom(SEED);
  random.fill(source.bytes);
  const { session } = rig.copier;
  const { minMemcpySize, alignment } = session.limits;
  const below = (limit: number) => Math.floor(random.below(limit) / alignment) * alignment;
  for (let copy = 0; copy < COPIES; copy++) {
    const size = minMemcpySize + below(4096 - minMemcpySize);
    session.memcpySync(source.iovaOf(below(AREA - size)), destination.iovaOf(below(AREA - size)), size);
  }
  expect(destination.bytes.some((byte) => byte !== 0)).toBe(true);
  return createHash("sha256").update(new Uint8Array(memory.buffer)).digest("hex");
}

/** A second address space of the iommufd, with every mapping of the first. */
function copyOfSpace(iommu: Iommu): IoAddressSpace {
  const door = iommufdOf(iommu);
  const elsewhere = door.newIoas();
  for (const { iova, length } of iommu.regions) {
    elsewhere.copyMapping(door.ioas, { sourceIova: iova, length, iova });
  }
  return elsewhere;
}

/** The available modes. It skips the test unless iommufd and another mode are among them. */
function modesOfBothBackends(modes: readonly IommuMode[]): readonly IommuMode[] {
  const available = modes.filter(isAvailable);
  if (available.length > 1 && available.some(({ traits }) => traits.api === "iommufd")) return available;
  skip({
    reason: `only ${available.map(({ name }) => name).join(", ") || "no mode"} can be used here`,
    remedy: "use a kernel with CONFIG_VFIO_GROUP, CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV, and name no single mode",
  });
}

function required(mode: IommuMode | undefined): IommuMode {
  return mode ?? skip({ reason: "the run is without mode iommufd", remedy: "leave --mode away" });
}

function requireContainers(modes: readonly IommuMode[]): readonly IommuMode[] {
  return modes.length > 0 ? modes : skip({ reason: "the run has no mode on a container", remedy: "leave --mode away" });
}

function isAvailable(mode: IommuMode): boolean {
  return mode.availability().available;
}

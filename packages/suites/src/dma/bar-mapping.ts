import { type Bar, Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { eachMode, errorWithCode, fixture, note, skip } from "@vfio-selftests/harness";
import { CopyRig } from "../rigs/dma/copy-rig";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { mapCall } from "../rigs/race/map-calls";
import { Racer } from "../rigs/race/racer";
import type { SuiteTarget } from "../suite-target";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const BASE = 0x10_0000_0000n;
const RACES = 5;

/** Bytes of each mapping; `whole`: the BAR in one piece. */
const STEPS: Readonly<Record<string, number | "whole">> = { "2mb": 2 * MIB, "1gb": GIB, whole: "whole" };

/** Large BARs mapped for the DMA of other devices, piece by piece. */
export function barMappingSuite(target: SuiteTarget): void {
  fixture("vfio_bar_mapping", target, (address) => {
    eachMode(target, (mode) => {
      for (const [name, step] of Object.entries(STEPS)) {
        it(`map_by_${name}`, () => {
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          const bar = barOf(device, step === "whole" ? 2 * MIB : step);
          // On a boundary of the BAR's size, so that the process's page tables can have huge entries, too.
          const alignment = Math.min(bar.size, GIB);
          using mapping = device.vfio.mapRegion(bar.index, { offset: 0, size: bar.size }, { alignment });
          const length = step === "whole" ? bar.size : step;
          const started = performance.now();
          if (!mode.traits.mapsRegisters) {
            // iommufd pins pages, and registers have none.
            expect(() => iommu.map(mapping, { iova: BASE, length })).toThrow(errorWithCode("EFAULT"));
            expect(iommu.unmapAll()).toBe(0n);
            return;
          }
          for (let offset = 0; offset < mapping.length; offset += length) {
            iommu.map(mapping, { iova: BASE + BigInt(offset), offset, length });
          }
          const middle = performance.now();
          expect(iommu.unmapAll()).toBe(BigInt(bar.size));
          note(
            `BAR ${bar.index} of ${bar.size / MIB} MiB in ${bar.size / length} pieces: ` +
              `mapped in ${(middle - started).toFixed(1)} ms, unmapped in ${(performance.now() - middle).toFixed(1)} ms`,
          );
        });
      }

      it("map_every_bar", () => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, address);
        const mappings = device.bars.flatMap((bar) => bar.mappings).filter(({ length }) => length >= PAGE_SIZE);
        if (mappings.length === 0) {
          skip({ reason: "the device has no BAR of a page or more that can be mapped", remedy: "use another device" });
        }
        for (const [number, mapping] of mappings.entries()) {
          const length = Math.floor(mapping.length / PAGE_SIZE) * PAGE_SIZE;
          const map = () => iommu.map(mapping, { iova: BASE + BigInt(number) * BigInt(GIB), length });
          if (!mode.traits.mapsRegisters) expect(map).toThrow(errorWithCode("EFAULT"));
          else expect(map().length).toBe(length);
        }
        const bytes = mappings.reduce((sum, { length }) => sum + Math.floor(length / PAGE_SIZE) * PAGE_SIZE, 0);
        expect(iommu.unmapAll()).toBe(mode.traits.mapsRegisters ? BigInt(bytes) : 0n);
      });

      it("first_touch_races_with_map", async () => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, address);
        requireRegisterMappings(mode);
        const bar = barOf(device, 2 * MIB);
        const area = { address: 0n, iova: BASE, length: 2 * MIB };
        await using racer = Racer.start([mapCall(iommu, area)]);
        for (let round = 1; round <= RACES; round++) {
          using mapping = device.vfio.mapRegion(bar.index, { offset: 0, size: 2 * MIB }, { alignment: 2 * MIB });
          racer.setArgument(0, mapCall(iommu, { ...area, address: mapping.address }).argument);
          racer.race(1, () => {
            for (let offset = 2 * MIB - PAGE_SIZE; offset >= 0; offset -= PAGE_SIZE) mapping.read32(offset);
          });
          expect(racer.result(0)).toMatchObject({ succeeded: round, failed: 0 });
          expect(iommu.backend.unmap(BASE, BigInt(2 * MIB))).toBe(BigInt(2 * MIB));
        }
      });

      it("another_device_copies_into_it", () => {
        requireRegisterMappings(mode);
        const copying = target.devices.filter((other) => other !== address);
        if (copying.length === 0) {
          skip({
            reason: "the run has no other device",
            remedy: "name one with a driver, too: vfio-selftests lab run --device igb --device pci-testdev",
          });
        }
        using rig = new CopyRig(target, mode, copying.slice(0, 1));
        using device = PciDevice.open(rig.iommu, address);
        const bar = memoryBarOf(device);
        using mapping = device.vfio.mapRegion(bar.index, { offset: 0, size: 2 * MIB }, { alignment: 2 * MIB });
        using region = rig.iommu.map(mapping, { iova: BASE });
        const { session, source, size } = rig.copier;
        const words = source.words();
        for (let word = 0; word < size / 4; word++) words[word] = 0xc0de_0000 + word;
        session.memcpySync(source.iova, region.iova + BigInt(MIB), size);
        for (let word = 0; word < size / 4; word++) expect(mapping.read32(MIB + 4 * word)).toBe(0xc0de_0000 + word);
      });
    });
  });
}

function barOf(device: PciDevice, size: number): Bar {
  const usable = device.bars.filter((bar) => bar.size >= size && bar.size % size === 0 && bar.region.mappable);
  const largest = [...usable].sort((a, b) => b.size - a.size)[0];
  if (largest !== undefined) return largest;
  const sizes = device.bars.filter((bar) => bar.size > 0).map((bar) => `BAR ${bar.index}: ${bar.size} bytes`);
  skip({
    reason: `the device has no BAR of ${size / MIB} MiB that can be mapped (${sizes.join(", ") || "no BAR"})`,
    remedy: "use a device with a large BAR: vfio-selftests lab run --device pci-testdev",
  });
}

/** A BAR that keeps what is written to it. */
function memoryBarOf(device: PciDevice): Bar {
  const bar = barOf(device, 2 * MIB);
  using mapping = device.vfio.mapRegion(bar.index, { offset: 0, size: 2 * MIB });
  for (const value of [0x1234_5678, 0]) {
    mapping.write32(MIB, value);
    if (mapping.read32(MIB) === value) continue;
    skip({
      reason: `BAR ${bar.index} does not keep what is written to it`,
      remedy: "use a device with memory in its BAR: vfio-selftests lab run --device igb --device pci-testdev",
    });
  }
  return bar;
}

function requireRegisterMappings(mode: IommuMode): void {
  if (mode.traits.mapsRegisters) return;
  skip({
    reason: `mode ${mode.name} does not map device registers for DMA`,
    remedy: "use mode vfio_type1_iommu or vfio_type1v2_iommu",
  });
}

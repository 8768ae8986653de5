/**
 * Measures how long it takes to map and unmap memory for DMA, by mode, by backing and by size. Runs in the lab's guest,
 * or on any machine with a device. Prints a table, or figures with `--json`.
 */
import { DmaMemory, Iommu, type IommuMode, type MappableMemory, PciDevice, VfioError } from "@vfio-selftests/core";
import { environmentOptions } from "@vfio-selftests/harness";
import { iommuModes, mapFileMode } from "@vfio-selftests/iommu-modes";
import { distributionOf } from "../distribution";
import { MAPPING_CASES, type MappingCase, sizeText } from "./mapping-cases";
import { type MappingFigures, mappingTable } from "./mapping-figures";

const IOVA = 0x1_0000_0000n;
const WARM_UP = 3;
const GIB = 1024 ** 3;

function main(): number {
  const [address] = environmentOptions().devices;
  if (address === undefined) {
    console.error(
      "VFIO_SELFTESTS_BDF names no device\n  Remedy: run in the lab (pnpm bench --mapping), or set it to a device bound to vfio-pci",
    );
    return 2;
  }
  const figures = [...iommuModes, mapFileMode].flatMap((mode) => {
    console.error(`${mode.name} …`);
    return casesOf(mode).map((mapping) => measure(mode, address, mapping));
  });
  console.log(process.argv.includes("--json") ? JSON.stringify(figures) : `microseconds\n${mappingTable(figures)}`);
  return 0;
}

/** Mapping by file differs from mode iommufd only for memory that has a file. */
function casesOf(mode: IommuMode): MappingCase[] {
  return MAPPING_CASES.filter(({ thing }) => mode !== mapFileMode || thing.startsWith("memfd"));
}

function measure(mode: IommuMode, address: string, { thing, bytes, count }: MappingCase): MappingFigures {
  const what = { mode: mode.name, thing };
  const availability = mode.availability();
  if (!availability.available) return { ...what, size: sizeText(bytes), notMeasured: availability.reason };
  using iommu = new Iommu(mode.open());
  using device = PciDevice.open(iommu, address);
  try {
    using memory = thing === "bar" ? mapLargestBar(device) : touched(DmaMemory.allocate(bytes, options(thing, bytes)));
    return {
      ...what,
      size: sizeText(memory.length),
      count,
      ...mapRepeatedly(iommu, memory, count, variantOf(mode, thing, memory)),
    };
  } catch (error) {
    if (!(error instanceof VfioError)) throw error;
    return { ...what, size: bytes === 0 ? "" : sizeText(bytes), notMeasured: error.message.split("\n")[0] ?? "" };
  }
}

function variantOf({ name }: IommuMode, thing: string, { length }: MappableMemory): string {
  return `${name}, ${thing} ${sizeText(length)}`;
}

type Measured = Extract<MappingFigures, { map: unknown }>;

function mapRepeatedly(
  iommu: Iommu,
  memory: MappableMemory,
  count: number,
  variant: string,
): Pick<Measured, "map" | "unmap"> {
  const map: number[] = [];
  const unmap: number[] = [];
  for (let i = -WARM_UP; i < count; i++) {
    const start = process.hrtime.bigint();
    const region = iommu.map(memory, { iova: IOVA });
    const middle = process.hrtime.bigint();
    iommu.unmap(region);
    const end = process.hrtime.bigint();
    if (i < 0) continue;
    map.push(Number(middle - start) / 1000);
    unmap.push(Number(end - middle) / 1000);
  }
  const shape = { where: "lab", variant } as const;
  return {
    map: distributionOf({ ...shape, name: "map" }, map),
    unmap: distributionOf({ ...shape, name: "unmap" }, unmap),
  };
}

function options(backing: DmaMemory["backing"], bytes: number): Parameters<typeof DmaMemory.allocate>[1] {
  return { backing, alignment: 2 ** Math.floor(Math.log2(Math.min(bytes, GIB))) };
}

/** Touches the pages first, so that the figures leave out their allocation. */
function touched(memory: DmaMemory): DmaMemory {
  const bytes = new Uint8Array(memory.buffer);
  for (let offset = 0; offset < bytes.length; offset += 4096) bytes[offset] = 1;
  return memory;
}

function mapLargestBar(device: PciDevice): MappableMemory & Disposable {
  const [largest] = device.bars.filter(({ region }) => region.mappable).sort((a, b) => b.size - a.size);
  if (largest === undefined) {
    throw new VfioError("the device has no BAR that can be mapped", { code: "ENODEV", operation: "map BAR" });
  }
  const area = { offset: 0, size: largest.region.mappableAreas[0]?.size ?? largest.size };
  return device.vfio.mapRegion(largest.index, area, { alignment: Math.min(largest.size, GIB) });
}

process.exitCode = main();

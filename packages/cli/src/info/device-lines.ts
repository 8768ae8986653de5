import { textTable } from "../list/text-table";
import { byteSize } from "../terminal/byte-size";
import { wrapText } from "../terminal/wrap-text";
import type { VfioAnswer, VfioFacts } from "./ask-vfio";
import type { DescribedCapability } from "./capability-facts";
import type { DeviceDescription } from "./describe-device";

/** The report for people. It fits 80 columns. */
export function deviceLines(device: DeviceDescription, answer: VfioAnswer): string[] {
  const sections = [
    identity(device),
    section("IOMMU group", groupLines(device)),
    section("Regions", resourceLines(device)),
    section("Interrupts", interruptLines(device)),
    section("Capabilities", capabilityLines(device)),
    answer.opened
      ? section(`VFIO, in mode ${answer.mode}`, vfioLines(answer))
      : section("VFIO and the IOMMU were not asked", [
          ...wrapText("  ", answer.reason),
          ...(answer.remedy === undefined ? [] : wrapText("  remedy: ", answer.remedy)),
        ]),
  ];
  return sections.flatMap((lines, index) => (index === 0 ? lines : ["", ...lines]));
}

function section(heading: string, lines: readonly string[]): string[] {
  return [heading, ...lines];
}

function identity(device: DeviceDescription): string[] {
  const { address, ids, names = {}, revision, classCode, subsystemIds, sriov } = device;
  const classText = `${classCode.toString(16).padStart(6, "0")}, revision ${revision.toString(16).padStart(2, "0")}`;
  const rows: (readonly [string, string | undefined])[] = [
    ["ids", named(ids, [names.vendor, names.device].filter((name) => name !== undefined).join(", "))],
    ["subsystem", subsystemIds === "0000:0000" ? undefined : named(subsystemIds, names.subsystem)],
    ["class", named(classText, names.class)],
    ["driver", device.driver ?? "none"],
    ["selftest driver", device.selftestDriver ?? "none matches"],
    ["NUMA node", device.numaNode?.toString()],
    ["VFs", sriov === undefined ? undefined : `${sriov.enabled} of ${sriov.total} enabled`],
    ["VF of", device.physicalFunction],
    ["suites", device.usable ? "can run on it" : `cannot run on it: ${device.reason ?? ""}`],
  ];
  return [
    address,
    ...rows.flatMap(([key, value]) => (value === undefined ? [] : wrapText(`  ${key.padEnd(17)}`, value))),
    ...(device.lost ? LOST : []),
    ...(device.names === undefined ? wrapText("  ", NO_NAMES) : []),
  ];
}

const LOST = wrapText(
  "  ",
  "The device does not answer: configuration space reads as all ones. It was removed, sleeps, or did not come back from a " +
    "reset.",
);

const NO_NAMES = "(no names: this machine has no pci.ids; packages pci.ids or hwdata have it)";

function groupLines({ iommuGroup }: DeviceDescription): string[] {
  if (iommuGroup === undefined) return ["  none: the device is not behind an IOMMU"];
  const { number, type, viable, members } = iommuGroup;
  const rows = members.map(({ address, driver = "-", blocks }) => [
    `    ${address}`,
    driver,
    blocks ? "keeps the group from user space" : "",
  ]);
  const [, ...lines] = textTable(["", "", ""], rows);
  return [
    `  ${number}${type === undefined ? "" : `, domain of the kernel: ${type}`}, ${viable ? "viable" : "not viable"}`,
    ...lines,
  ];
}

function resourceLines({ resources }: DeviceDescription): string[] {
  if (resources.length === 0) return ["  none"];
  const rows = resources.map(({ name, kind, start, size, is64Bit, prefetchable }) => [
    `  ${name}`,
    hex(start),
    byteSize(size),
    kind === "io" ? "I/O ports" : `${is64Bit ? "64" : "32"}-bit memory${prefetchable ? ", prefetchable" : ""}`,
  ]);
  return textTable(["  region", "address", "size", "kind"], rows);
}

function interruptLines({ interrupts, capabilities }: DeviceDescription): string[] {
  const { pin, msi, msix } = interrupts;
  const vectors = (count: number | undefined): string =>
    capabilities.readable ? (count === undefined ? "none" : `${count} vector${count === 1 ? "" : "s"}`) : "unknown";
  return [
    `  INTx   ${pin === undefined ? "none" : `pin ${pin}`}`,
    `  MSI    ${vectors(msi)}`,
    `  MSI-X  ${vectors(msix)}`,
  ];
}

function capabilityLines({ address, capabilities, lost }: DeviceDescription): string[] {
  const { readable, standard, extended, problems } = capabilities;
  if (!readable) {
    return wrapText("  ", `unknown: the kernel shows them to root only (sudo vfio-selftests info ${address})`);
  }
  const width = (offset: number): string => `0x${offset.toString(16).padStart(3, "0")}`;
  const line = ({ offset, name, facts }: DescribedCapability): string[] =>
    facts.length === 0
      ? [`  ${width(offset)}  ${name}`]
      : wrapText(`  ${width(offset)}  `, `${name}: ${facts.join(", ")}`);
  const lines = [...standard, ...extended].flatMap(line);
  const broken = lost ? [] : problems.flatMap((problem) => wrapText("  ", `the list is broken: ${problem}`));
  return lines.length === 0 && broken.length === 0 ? ["  none"] : [...lines, ...broken];
}

function vfioLines({ regions, interrupts, iovaRanges, pageSizes, features, resettable }: VfioFacts): string[] {
  const regionRows = regions.map(({ name, size, readable, writable, mappable, mappableAreas, msixMappable, type }) => [
    `  ${name}`,
    byteSize(size),
    [
      ...(readable ? ["read"] : []),
      ...(writable ? ["write"] : []),
      ...(mappable ? [mapText(size, mappableAreas)] : []),
      ...(msixMappable ? ["with MSI-X"] : []),
      ...(type === undefined ? [] : [`type ${type.type.toString(16)}.${type.subtype}`]),
    ].join(", "),
  ]);
  const irqRows = interrupts.map(({ name, count, eventfd, maskable, autoMasked, noResize }) => [
    `  ${name}`,
    String(count),
    [
      ...(eventfd ? ["eventfd"] : []),
      ...(maskable ? ["maskable"] : []),
      ...(autoMasked ? ["masks itself"] : []),
      ...(noResize ? ["fixed once enabled"] : []),
    ].join(", "),
  ]);
  const offering = (access: "get" | "set"): string =>
    features.flatMap((feature) => (feature.access.includes(access) ? feature.name : [])).join(", ") || "none";
  const failed = features.filter(({ error }) => error !== undefined);
  return [
    ...textTable(["  region", "size", "access"], regionRows),
    "",
    ...textTable(["  interrupt", "count", "properties"], irqRows),
    "",
    ...iovaRanges.flatMap(({ start, last }, index) => [
      `  ${index === 0 ? "IOVA ranges" : "           "}  ${hex(start)} to ${hex(last)}`,
    ]),
    ...wrapText("  page sizes   ", pageSizes.map(byteSize).join(", ")),
    ...wrapText("  to get       ", offering("get")),
    ...wrapText("  to set       ", offering("set")),
    ...failed.map(({ name, error = "" }) => `               ${name}: the probe gave ${error}`),
    `  reset        ${resettable ? "VFIO_DEVICE_RESET works" : "none of the device alone"}`,
  ];
}

function mapText(size: number, areas: VfioFacts["regions"][number]["mappableAreas"]): string {
  const [first] = areas;
  if (areas.length === 1 && first?.size === size) return "map";
  if (areas.length === 0) return "map (no area)";
  return `map ${areas.map((area) => `0x${area.offset.toString(16)}+0x${area.size.toString(16)}`).join(" ")}`;
}

function named(ids: string, name: string | undefined): string {
  return name === undefined || name === "" ? ids : `${ids}  ${name}`;
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

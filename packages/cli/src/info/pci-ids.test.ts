import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { pciDevice, type PciDeviceEntry } from "@vfio-selftests/core/sysfs";
import { FakeSystem } from "@vfio-selftests/core/testing";
import { PciIds } from "./pci-ids";

const FILE = [
  "# names for this test",
  "1af4  A first vendor",
  "\t10c9  Of another vendor",
  "8086  An example vendor",
  "\t10c8  Device before",
  "\t10c9  Example adapter",
  "\t\t103c 31ef  Sold by somebody",
  "\t\t8086 a03c  Sold by itself",
  "\t10ca  Device after",
  "\t\t8086 0001  Sold after",
  "C 02  Network controller",
  "\t00  Ethernet controller",
  "\t\t01  With a programming interface",
  "C ff  Unassigned class",
  "",
].join("\n");

const ENTRY = {
  vendor: 0x8086,
  device: 0x10c9,
  subsystemVendor: 0x8086,
  subsystemDevice: 0xa03c,
  class: 0x020000,
} as PciDeviceEntry;

it("finds each name below its own parent", () => {
  expect(new PciIds(FILE).names(ENTRY)).toEqual({
    vendor: "An example vendor",
    device: "Example adapter",
    subsystem: "Sold by itself",
    class: "Ethernet controller",
  });
});

it("leaves out what the file does not have, and takes no name of a neighbour", () => {
  const ids = new PciIds(FILE);
  expect(ids.names({ ...ENTRY, subsystemDevice: 1 })).not.toHaveProperty("subsystem");
  expect(ids.names({ ...ENTRY, device: 1, class: 0xff1234 })).toEqual({
    vendor: "An example vendor",
    class: "Unassigned class",
  });
  expect(ids.names({ ...ENTRY, vendor: 0xffff, class: 0 })).toEqual({});
});

it("ends with names or without, whatever the file holds", () => {
  const line = fc.oneof(fc.constantFrom("8086  v", "\t10c9  d", "\t\t8086 a03c  s", "C 02  n", "\t00  e"), fc.string());
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const names = new PciIds(lines.join("\n")).names(ENTRY);
      if (names.subsystem !== undefined) expect(names.device).toBeDefined();
      if (names.device !== undefined) expect(names.vendor).toBeDefined();
    }),
  );
});

describe("the machine's file", () => {
  it.each(["usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids", "usr/share/misc/pci.ids.gz"])("%s", (place) => {
    using system = new FakeSystem();
    system.pci({ address: "0000:01:00.0", class: 0x020000 });
    system.file(place, FILE);
    if (place.endsWith(".gz")) writeFileSync(join(system.root, place), gzipSync(FILE));
    expect(PciIds.find(system.paths)?.names(pciDevice("0000:01:00.0", system.paths)).device).toBe("Example adapter");
  });

  it("may be missing", () => {
    using system = new FakeSystem();
    expect(PciIds.find(system.paths)).toBeUndefined();
  });
});

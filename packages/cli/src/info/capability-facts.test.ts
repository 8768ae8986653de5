import fc from "fast-check";
import { walkCapabilities, walkExtendedCapabilities } from "@vfio-selftests/core/pci";
import { describeCapabilities } from "./capability-facts";
import { ConfigImage } from "./config-image";
import { exampleConfig } from "./testing/example-config";

function factsOf(bytes: Uint8Array): Record<string, readonly string[]> {
  const config = new ConfigImage(bytes);
  const all = [
    ...describeCapabilities(walkCapabilities(config), config, "standard"),
    ...describeCapabilities(walkExtendedCapabilities(config), config, "extended"),
  ];
  return Object.fromEntries(all.map(({ name, facts }) => [name, facts]));
}

it("decodes what the registers say", () => {
  expect(factsOf(exampleConfig())).toEqual({
    "Power Management": ["version 3", "in D0"],
    MSI: ["8 vectors", "off", "64-bit", "maskable"],
    "MSI-X": ["10 vectors", "on", "table in BAR 3 at 0x0", "pending bits in BAR 3 at 0x2000"],
    "PCI Express": [
      "endpoint",
      "version 2",
      "function-level reset",
      "payload up to 256 bytes",
      "link 2.5 GT/s x1 of 5 GT/s x4",
    ],
    "Unknown 0x1e": [],
    "Advanced Error Reporting": ["uncorrectable errors 0x4000"],
    "Device Serial Number": ["88-77-66-55-44-33-22-11"],
    "Access Control Services": ["source validation on", "request redirect off"],
    "Single Root I/O Virtualization": ["2 of 8 VFs", "VF device id 10ca"],
    "Address Translation Services": ["32 invalidations at once", "on"],
    "Process Address Space ID": ["20 bits", "off", "execute"],
    "Resizable BAR": ["BAR 2 of 256 MiB"],
  });
});

it("ends whatever the bytes are, also where a capability is cut off", () => {
  const length = fc.constantFrom(64, 65, 100, 256, 257, 300, 4096);
  const bytes = length.chain((size) => fc.uint8Array({ minLength: size, maxLength: size }));
  fc.assert(
    fc.property(bytes, (image) => {
      expect(() => factsOf(image)).not.toThrow();
    }),
  );
  const cut = exampleConfig().slice(0, 0x73);
  expect(factsOf(cut)["MSI-X"]?.[0]).toBe("2048 vectors");
});

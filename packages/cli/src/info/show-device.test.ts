import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Driver } from "@vfio-selftests/core/driver";
import { asCalled } from "@vfio-selftests/core/errors";
import { pciDevice } from "@vfio-selftests/core/sysfs";
import { type FakePciDevice, FakeSystem } from "@vfio-selftests/core/testing";
import { describeDevice, type DeviceDescription } from "./describe-device";
import { deviceLines } from "./device-lines";
import { showDevice } from "./show-device";
import { exampleConfig } from "./testing/example-config";

const ADDRESS = "0000:01:00.0";
const IGB = { name: "igb", ids: [{ vendor: 0x8086, device: 0x10c9 }] } as unknown as Driver;
const RESOURCES = [
  "0x00000000fe000000 0x00000000fe01ffff 0x0000000000040200",
  "0x0000000000000000 0x0000000000000000 0x0000000000000000",
  "0x000000000000c000 0x000000000000c01f 0x0000000000040101",
  "0x0000008000000000 0x0000008000003fff 0x000000000014220c",
].join("\n");

/** A machine with this device; `config` is what sysfs gives to this user. */
class Machine extends FakeSystem {
  constructor(device: Partial<FakePciDevice>, config: Uint8Array, ...others: readonly FakePciDevice[]) {
    super();
    const attributes = { resource: RESOURCES, revision: "0x01", ...device.attributes };
    const directory = this.pci({ address: ADDRESS, class: 0x020000, ...device, attributes });
    writeFileSync(join(this.root, directory, "config"), config);
    for (const other of others) this.pci(other);
    this.file("sys/kernel/iommu_groups/1/type", "DMA-FQ\n");
  }

  describe(): DeviceDescription {
    return describeDevice(pciDevice(ADDRESS, this.paths), [IGB], this.paths);
  }

  /** What the command prints. */
  print(options: { readonly json?: boolean } = {}): string {
    const lines: string[] = [];
    const log = jest.spyOn(console, "log").mockImplementation((line) => void lines.push(String(line)));
    try {
      expect(showDevice(ADDRESS, options, this.paths)).toBe(0);
      return lines.join("\n");
    } finally {
      log.mockRestore();
    }
  }
}

it("describes identity, group, regions and interrupts from sysfs alone", () => {
  using machine = new Machine({ driver: "e1000e", group: 1 }, exampleConfig(), {
    address: "0000:01:00.1",
    driver: "vfio-pci",
    group: 1,
  });
  expect(machine.describe()).toMatchObject({
    address: ADDRESS,
    ids: "8086:10c9",
    driver: "e1000e",
    selftestDriver: "igb",
    usable: false,
    lost: false,
    interrupts: { pin: "A", msi: 8, msix: 10 },
    iommuGroup: {
      number: 1,
      type: "DMA-FQ",
      viable: false,
      members: [
        { address: ADDRESS, driver: "e1000e", blocks: true },
        { address: "0000:01:00.1", driver: "vfio-pci", blocks: false },
      ],
    },
    resources: [
      { name: "BAR 0", kind: "memory", size: 0x20000n, is64Bit: false, prefetchable: false },
      { name: "BAR 2", kind: "io", size: 32n },
      { name: "BAR 3", kind: "memory", start: 0x8000000000n, is64Bit: true, prefetchable: true },
    ],
  });
});

it("prints for people, in 80 columns, and names the command that shows the rest", () => {
  using machine = new Machine({ driver: "e1000e", group: 1 }, exampleConfig());
  const text = machine.print();
  expect(text).toContain("MSI-X: 10 vectors, on, table in BAR 3 at 0x0");
  expect(text).toContain("this machine has no pci.ids");
  const remedy = asCalled("sudo vfio-selftests bind 0000:01:00.0");
  expect(text.trimEnd().split("\n").slice(-3)).toEqual([
    expect.stringMatching(/VFIO and the IOMMU were not asked$/),
    "  it is bound to e1000e",
    `  remedy: ${remedy}`,
  ]);
  expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
});

it("shows an ordinary user that root sees more, and takes nothing for absent", () => {
  using machine = new Machine({}, exampleConfig().slice(0, 64));
  const device = machine.describe();
  expect(device.capabilities).toEqual({ readable: false, standard: [], extended: [], problems: [] });
  expect(device.interrupts).toEqual({ pin: "A" });
  const text = machine.print();
  expect(text).toContain("MSI    unknown");
  expect(text).toContain(asCalled(`sudo vfio-selftests info ${ADDRESS}`));
});

it("says that a device does not answer", () => {
  using machine = new Machine({}, new Uint8Array(4096).fill(0xff));
  expect(machine.describe().lost).toBe(true);
  expect(machine.print()).toContain("The device does not answer");
});

it("does not take a VF for lost, whose ids are all ones", () => {
  const config = exampleConfig();
  config.fill(0xff, 0, 4);
  using machine = new Machine({}, config);
  expect(machine.describe().lost).toBe(false);
});

it("shows what is wrong with a capability list", () => {
  const config = exampleConfig();
  config[0x41] = 0x40;
  using machine = new Machine({}, config);
  expect(machine.print()).toContain("the list is broken: capability list loops back to 0x40");
});

it("prints JSON that has everything", () => {
  using machine = new Machine({ driver: "e1000e", group: 1 }, exampleConfig());
  machine.file("usr/share/misc/pci.ids", "8086  An example vendor\n\t10c9  Example adapter\n");
  const device = JSON.parse(machine.print({ json: true })) as Record<string, unknown>;
  expect(device).toMatchObject({
    address: ADDRESS,
    names: { vendor: "An example vendor", device: "Example adapter" },
    interrupts: { msix: 10 },
    vfio: { opened: false, reason: "it is bound to e1000e" },
  });
  expect(JSON.stringify(device)).toContain('"start":"0x8000000000"');
});

it("shows an open device in 80 columns", () => {
  using machine = new Machine({ driver: "vfio-pci", group: 1 }, exampleConfig());
  const lines = deviceLines(machine.describe(), {
    opened: true,
    mode: "iommufd",
    resettable: true,
    regions: [
      {
        name: "BAR 0",
        index: 0,
        flags: 15,
        size: 0x4000,
        offset: 0n,
        readable: true,
        writable: true,
        mappable: true,
        mappableAreas: [{ offset: 0, size: 0x2000 }],
        msixMappable: true,
      },
    ],
    interrupts: [],
    iovaRanges: [
      { start: 0n, last: 0xfedf_ffffn },
      { start: 0xfef0_0000n, last: 0x7f_ffff_ffffn },
    ],
    pageSizes: [4096n, 2n ** 21n, 2n ** 30n],
    features: [{ name: "BUS_MASTER", access: ["get", "set"] }],
  });
  const text = lines.join("\n");
  expect(text).toContain("read, write, map 0x0+0x2000, with MSI-X");
  expect(text).toContain("4 KiB, 2 MiB, 1 GiB");
  expect(text).toContain("IOVA ranges  0x0 to 0xfedfffff\n               0xfef00000 to 0x7fffffffff");
  expect(text).toContain("to get       BUS_MASTER\n  to set       BUS_MASTER\n");
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
});

import {
  LAB_DEVICES,
  parseDevices,
  type PlacedDevice,
  requireDevicesServed,
  requireDevicesWork,
  scratchDisksOf,
} from "./devices";
import { AMD_SOUTHBRIDGE_ADDRESS, parseIommu, X86_IOMMUS } from "./iommus";

test("each instance has a slot of its own, in the order asked for", () => {
  const placed = parseDevices(["igb*2", "edu"]);
  expect(placed.map(({ device, slot }) => `${device.name}@${slot.address}`)).toEqual(["igb@10", "igb@11", "edu@12"]);
});

test("a vfio-user device takes its socket", () => {
  const [placed] = parseDevices(["vfio-user:/run/a model.sock"]);
  expect(placed?.argument).toBe("/run/a model.sock");
  const [json = ""] = placed?.device.devices(placed.slot, placed.argument) ?? [];
  expect(JSON.parse(json)).toEqual({
    driver: "vfio-user-pci",
    addr: "0x10",
    socket: { type: "unix", path: "/run/a model.sock" },
  });
});

test("an unknown device is refused with the names of all", () => {
  expect(() => parseDevices(["ibg"])).toThrow(/"ibg".*igb.*edu.*nvme/);
});

test.each(["vfio-user", "vfio-user:", "igb:x", "igb*0", "", "*2"])("%j is refused", (choice) => {
  expect(() => parseDevices([choice])).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }) as Error);
});

test("more devices than slots are refused", () => {
  const placed = parseDevices(["edu*14"]);
  const slots = placed.map(({ slot }) => Number.parseInt(slot.address, 16));
  expect(new Set(slots).size).toBe(14);
  expect(slots).not.toContain(AMD_SOUTHBRIDGE_ADDRESS);
  expect(() => parseDevices(["edu*15"])).toThrow(/14 at most/);
});

test("every device's functions are found below its own slot", () => {
  for (const device of LAB_DEVICES) {
    const slot = { number: 3, address: "12" };
    for (const path of device.functions(slot)) expect(path).toMatch(/^0000:00:12\.0(\/|$)/);
    expect(device.devices(slot, "/x").join(" ")).toMatch(/addr"?[=:]"?0x12/);
  }
});

test("the group's two devices sit behind one bridge", () => {
  const [placed] = parseDevices(["edu-group"]);
  expect(placed?.device.functions(placed.slot)).toHaveLength(2);
  expect(placed?.device.devices(placed.slot, "")).toEqual([
    "pcie-root-port,id=port1,chassis=1,slot=1,x-speed=2_5,addr=0x10",
    "pcie-pci-bridge,id=bridge1,bus=port1",
    "edu,bus=bridge1,addr=1",
    "edu,bus=bridge1,addr=2",
  ]);
});

test("the bridges' second device sits behind both", () => {
  const [placed] = parseDevices(["edu-bridges"]);
  expect(placed?.device.functions(placed.slot)).toEqual([
    "0000:00:10.0/*:*:00.0/*:*:01.0",
    "0000:00:10.0/*:*:00.0/*:*:02.0/*:*:01.0",
  ]);
  expect(placed?.device.devices(placed.slot, "").slice(1)).toEqual([
    "pcie-pci-bridge,id=bridge1,bus=port1",
    "edu,bus=bridge1,addr=1",
    "pci-bridge,id=inner1,bus=bridge1,addr=2,chassis_nr=101",
    "edu,bus=inner1,addr=1",
  ]);
});

test("a device that is plugged anew is the one that was there", () => {
  const [placed] = parseDevices(["igb-hotplug"]);
  const plugged = placed?.device.pluggable?.(placed.slot);
  expect(placed?.device.devices(placed.slot, "")).toContain(
    `${plugged?.driver ?? ""},id=${plugged?.id ?? ""},bus=${plugged?.bus ?? ""}`,
  );
});

test("each NVMe controller has a disk of its own, and a serial number that no other has", () => {
  const placed = parseDevices(["igb", "nvme*2"]);
  const disks = scratchDisksOf(placed);
  expect(disks.map(({ serial }) => serial)).toEqual(["lab-scratch-2", "lab-scratch-3"]);
  for (const [index, { drive, serial }] of disks.entries()) {
    const [, id] = /(?:^|,)id=(\w+)/.exec(drive) ?? [];
    // Nothing of the host's: what is written goes to a temporary file.
    expect(drive).toMatch(/file\.driver=null-co.*,snapshot=on$/);
    const { device, slot } = placed[index + 1] as PlacedDevice;
    expect(device.devices(slot, "")).toEqual([`nvme,serial=${serial},drive=${id ?? ""},addr=0x${slot.address}`]);
  }
});

test("a device that is newer than QEMU is refused with the remedy", () => {
  const placed = parseDevices(["igb", "vfio-user:/s"]);
  expect(() => requireDevicesServed(placed, { version: [10, 1] })).not.toThrow();
  expect(() => requireDevicesServed(placed, { version: [9, 2] })).toThrow(/vfio-user needs QEMU 10\.1[^]*--qemu root/);
});

test("a vfio-user device is refused behind an IOMMU whose mappings QEMU does not see", () => {
  const scalable = parseIommu("intel-scalable", X86_IOMMUS);
  expect(() => requireDevicesWork(parseDevices(["vfio-user:/s"]), scalable, X86_IOMMUS)).toThrow(
    /cannot do DMA behind the IOMMU intel-scalable[^]*intel, amd, virtio/,
  );
  expect(() => requireDevicesWork(parseDevices(["igb"]), scalable, X86_IOMMUS)).not.toThrow();
});

test("a vfio-user device is refused where nobody serves it", () => {
  const intel = parseIommu("intel", X86_IOMMUS);
  expect(() => requireDevicesWork(parseDevices([`vfio-user:${__filename}`]), intel, X86_IOMMUS)).toThrow(
    /devices\.test.*a Unix socket that a server listens on/,
  );
});

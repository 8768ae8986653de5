import { rmSync } from "node:fs";
import { join } from "node:path";
import { DmaMemory, Iommu, type IommuMode, KERNEL_MODE_NAMES } from "@vfio-selftests/core";
import { thrownBy } from "@vfio-selftests/core/testing";
import { FakeKernel } from "../testing/fake-kernel";
import { iommufdDeviceOf, iommufdOf } from "./doors";
import { createAutoMode, createModes, findMode, IOMMU_MODE_NAMES } from "./modes";

const FIRST = "0000:02:01.0";
const SECOND = "0000:03:02.0";
const OTHER_GROUP = "0000:04:00.0";
const TOKEN = "01234567-89ab-cdef-0123-456789abcdef";

/** The code of the error that the action throws. */
function code(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe.each(KERNEL_MODE_NAMES)("mode %s", (name) => {
  let kernel: FakeKernel;
  let mode: IommuMode;
  let memory: DmaMemory;
  const native = name === "iommufd";
  const open = () => new Iommu(mode.open());
  const spaces = () =>
    [...new Set(kernel.files.values())].flatMap((file) =>
      file.kind === "container" && file.space ? [file.space] : file.kind === "iommufd" ? [...file.spaces.values()] : [],
    );
  const cuttable = name === "vfio_type1_iommu" || name === "iommufd_compat_type1";

  beforeEach(() => {
    kernel = new FakeKernel();
    kernel.addDevice(FIRST, 5);
    kernel.addDevice(SECOND, 5);
    kernel.addDevice(OTHER_GROUP, 6);
    mode = createModes(kernel.environment).find((candidate) => candidate.name === name) as IommuMode;
    memory = DmaMemory.allocate(4 * 4096);
  });
  afterEach(() => {
    memory.close();
    kernel[Symbol.dispose]();
  });

  it("says what it is", () => {
    const { traits } = mode;
    expect(traits.api).toBe(native ? "iommufd" : "container");
    expect(traits.container?.path.join("/")).toBe(native ? undefined : name.startsWith("vfio") ? "vfio/vfio" : "iommu");
    expect(traits.container?.type).toBe(native ? undefined : name.includes("v2") ? 2 : 1);
    expect(traits.splitsMappings).toBe(cuttable);
    expect(traits.choosesIova).toBe(mode.open().choosesIova);
    expect(traits.mapsRegisters).toBe(name.startsWith("vfio"));
    rmSync(join(kernel.system.root, "sys/module/vfio_iommu_type1"), { recursive: true });
    expect(mode.traits.mapsRegisters).toBe(false);
    expect(mode.resolve()).toBe(mode);
  });

  it("is available, and leaves nothing open after telling so", () => {
    expect(mode.availability()).toEqual({ available: true });
    expect(kernel.kinds()).toEqual([]);
  });

  it("opens a device, maps for it, and leaves nothing open", () => {
    const iommu = open();
    const device = iommu.openDevice("2:1.0");
    expect(device).toMatchObject({ address: FIRST, info: { regionCount: 9, irqCount: 5, resettable: true } });
    if (native) expect(iommufdDeviceOf(device).id).toBe(7);
    else expect(() => iommufdDeviceOf(device)).toThrow("0000:02:01.0 is not bound to an iommufd");
    expect(iommu.map(memory).unmap()).toBe(16384n);
    iommu.close();
    expect(kernel.kinds()).toEqual([]);
  });

  it("lets devices of one group, and of another, share the address space", () => {
    const iommu = open();
    const devices = [FIRST, SECOND, OTHER_GROUP].map((address) => iommu.openDevice(address));
    expect(kernel.kinds().filter((kind) => kind === "group").length).toBe(native ? 0 : 2);
    devices[0]?.close();
    expect(kernel.kinds().filter((kind) => kind === "group").length).toBe(native ? 0 : 2);
    devices[1]?.close();
    expect(kernel.kinds().filter((kind) => kind === "group").length).toBe(native ? 0 : 1);
    iommu.close();
    expect(kernel.kinds()).toEqual([]);
  });

  it("keeps mappings when the last device is closed", () => {
    const iommu = open();
    iommu.openDevice(FIRST).close();
    const region = iommu.map(memory);
    iommu.openDevice(SECOND).close();
    iommu.openDevice(OTHER_GROUP).close();
    expect(region.unmap()).toBe(16384n);
    iommu.close();
    expect(kernel.kinds()).toEqual([]);
  });

  it("tells IOVA ranges in order, and page sizes", () => {
    const iommu = open();
    iommu.openDevice(FIRST);
    expect(iommu.iovaRanges()).toEqual([
      { start: 0n, last: 0xfedf_ffffn },
      { start: 0xfef0_0000n, last: 0xffff_ffff_ffffn },
    ]);
    expect(iommu.pageSizes()).toBe(0x4020_1000n);
    // pageSizes() asks through the compatibility. Nothing of that stays.
    expect([...kernel.files.values()].some((file) => file.kind === "iommufd" && file.compat !== undefined)).toBe(
      name.startsWith("iommufd_compat"),
    );
    iommu.close();
  });

  it("passes the access on", () => {
    const iommu = open();
    iommu.openDevice(FIRST);
    const flags = (["read", "write", "read-write"] as const).map((access, index) => {
      const iova = BigInt(index + 1) << 20n;
      iommu.map(memory, { iova, access });
      return spaces().flatMap((space) => space.maps.get(iova)?.flags ?? []);
    });
    expect(flags.flat()).toEqual(native ? [4 | 1, 2 | 1, 6 | 1] : [1, 2, 3]);
    iommu.close();
  });

  it("gives the kernel's exact errors", () => {
    const iommu = open();
    iommu.openDevice(FIRST);
    const region = iommu.map(memory, { iova: 0x10000n });
    const top = (1n << 64n) - 4096n;
    expect(code(() => iommu.map(memory, { iova: 0x10000n }))).toBe("EEXIST");
    expect(code(() => iommu.map(memory, { iova: 0x20001n }))).toBe("EINVAL");
    expect(code(() => iommu.map(memory, { iova: top }))).toBe("EOVERFLOW");
    expect(code(() => iommu.unmapRange(top, 8192n))).toBe("EOVERFLOW");
    expect(code(() => iommu.unmapRange(0x50000n, 4096n))).toBe(native ? "ENOENT" : undefined);
    const cut = code(() => iommu.unmapRange(0x10000n, 4096n));
    expect([cut, region.mapped]).toEqual(
      cuttable ? [undefined, false] : [name === "vfio_type1v2_iommu" ? "EINVAL" : "ENOENT", true],
    );
    expect(iommu.unmapAll()).toBe(cuttable ? 0n : 16384n);
    iommu.close();
  });

  it("opens a VF with its token", () => {
    const iommu = open();
    iommu.openDevice(FIRST, { vfToken: TOKEN });
    if (native) expect(Buffer.from(kernel.token ?? []).toString("hex")).toBe(TOKEN.replaceAll("-", ""));
    else expect(kernel.deviceName).toBe(`${FIRST} vf_token=${TOKEN}`);
    expect(() => iommu.openDevice(SECOND, { vfToken: "secret" })).toThrow('vfToken is "secret"; allowed: a UUID');
    iommu.close();
  });

  it("explains devices that cannot be opened, and leaves nothing of them", () => {
    kernel.system.pci({ address: "0000:05:00.0", driver: "igb", group: 9 });
    kernel.system.pci({ address: "0000:06:00.0", driver: "vfio-pci" });
    const iommu = open();
    const before = kernel.kinds();
    expect(() => iommu.openDevice("0000:7f:00.0")).toThrow("no PCI device at 0000:7f:00.0");
    expect(() => iommu.openDevice("nonsense")).toThrow("DDDD:BB:DD.F");
    expect(() => iommu.openDevice("0000:05:00.0")).toThrow("vfio-selftests bind 0000:05:00.0");
    expect(() => iommu.openDevice("0000:06:00.0")).toThrow(native ? "CONFIG_VFIO_DEVICE_CDEV" : "is in no IOMMU group");
    expect(kernel.kinds()).toEqual(before);
    iommu.close();
    expect(kernel.kinds()).toEqual([]);
  });

  it("names the devices that keep a group from being viable", () => {
    kernel.system.pci({ address: "0000:05:00.0", driver: "e1000e", group: 5 });
    // The group's status tells this in group modes. iommufd's kernel tells it by EBUSY at the binding.
    if (native) kernel.failures.set("3b76", 16);
    const iommu = open();
    expect(() => iommu.openDevice(FIRST)).toThrow(
      "IOMMU group 5 is not viable: in use by the kernel: 0000:05:00.0 (e1000e)\n  Remedy: bind them to vfio-pci too: vfio-selftests bind 0000:05:00.0",
    );
    iommu.close();
    expect(kernel.kinds()).toEqual([]);
  });

  it("lets go of what it took when a later step fails, and works afterwards", () => {
    const steps = native ? ["3b76", "3b77", "3b6b"] : ["3b67", "3b68", "3b66", "3b6a", "3b6b"];
    const iommu = open();
    const before = kernel.kinds();
    for (const step of steps) {
      kernel.failures.set(step, 1);
      expect(() => iommu.openDevice(FIRST)).toThrow("EPERM");
      kernel.failures.delete(step);
    }
    // The group may stay once it was in, for the container's sake.
    expect(kernel.kinds().filter((kind) => kind !== "group")).toEqual(before);
    iommu.openDevice(FIRST);
    iommu.openDevice(SECOND);
    iommu.close();
    expect(kernel.kinds()).toEqual([]);
  });

  it("keeps mappings when the device is closed and opening it again fails", () => {
    const iommu = open();
    iommu.openDevice(FIRST).close();
    const region = iommu.map(memory);
    const steps = native ? ["3b76", "3b77", "3b6b"] : ["3b6a", "3b6b"];
    for (const address of [FIRST, OTHER_GROUP]) {
      for (const step of steps) {
        kernel.failures.set(step, 1);
        expect(code(() => iommu.openDevice(address))).toBe("EPERM");
        kernel.failures.delete(step);
      }
    }
    expect(spaces().map(({ maps }) => [...maps.keys()])).toEqual([[region.iova]]);
    expect(region.unmap()).toBe(16384n);
    iommu.close();
    expect(kernel.kinds()).toEqual([]);
  });

  it("leaves nothing open when an address space cannot be set up", () => {
    kernel.failures.set(native ? "3b81" : "3b64", 12);
    expect(code(() => mode.open())).toBe("ENOMEM");
    expect(kernel.kinds()).toEqual([]);
  });

  it("maps and unmaps later when it had no memory for the first call", () => {
    const iommu = open();
    iommu.openDevice(FIRST);
    const [map, unmap] = native ? ["bind 3b85", "bind 3b86"] : ["bind 3b71", "bind 3b72"];
    kernel.failures.set(map, 12).set(unmap, 12);
    expect(code(() => iommu.map(memory))).toBe("ENOMEM");
    kernel.failures.delete(map);
    const region = iommu.map(memory);
    expect(code(() => region.unmap())).toBe("ENOMEM");
    kernel.failures.delete(unmap);
    expect(region.unmap()).toBe(16384n);
    iommu.close();
    expect(kernel.kinds()).toEqual([]);
  });

  it("tells after an unmap that failed half-way what is still mapped", () => {
    const iommu = open();
    iommu.openDevice(FIRST);
    const { backend } = iommu;
    for (const page of [0, 1, 2]) backend.map(memory, page * 4096, 4096, BigInt(page + 16) << 12n, "read");
    backend.map(memory, 0, 8192, 19n << 12n, "read-write");
    // The area ends inside the last mapping.
    const failed = code(() => backend.unmap(16n << 12n, 4n << 12n));
    const left = [16n, 17n, 18n, 19n].filter((page) => spaces().some(({ maps }) => maps.has(page << 12n)));
    expect(failed).toBe(cuttable ? undefined : name === "vfio_type1v2_iommu" ? "EINVAL" : "ENOENT");
    expect(left).toEqual(cuttable ? [] : name === "vfio_type1v2_iommu" ? [16n, 17n, 18n, 19n] : [19n]);
    if (!cuttable) {
      expect([16n, 17n, 18n, 19n].filter((page) => backend.isMapped?.(page << 12n))).toEqual(left);
    }
    // Asking leaves nothing behind.
    expect(spaces()).toHaveLength(1);
    iommu.close();
  });

  it("refuses everything of a closed address space, whatever file has its number since", () => {
    const iommu = open();
    const { backend } = iommu;
    const device = iommu.openDevice(FIRST);
    iommu.close();
    using other = open();
    other.openDevice(SECOND);
    const before = kernel.requests.length;
    for (const use of [
      () => backend.map(memory, 0, 4096, 0x1000n, "read"),
      () => backend.unmap(0x1000n, 0x1000n),
      () => backend.unmapAll(),
      () => backend.iovaRanges(),
      () => backend.pageSizes(),
      () => backend.isMapped?.(0x1000n),
      () => backend.openDevice(FIRST, {}),
      () => device.regionInfo(0),
      () => device.irqInfo(0),
      () => device.readRegion(7, 0, new Uint8Array(4)),
      () => device.setIrqs({ index: 2, action: "trigger", start: 0, count: 0 }),
      () => device.feature(0x10001, new Uint8Array(4)),
      () => device.hotResetInfo?.(),
      () => device.hotReset?.([device]),
    ]) {
      expect(thrownBy(use).code).toBe("ERR_CLOSED");
    }
    expect(kernel.requests.length).toBe(before);
    backend.close();
    device.close();
    expect(kernel.kinds()).toHaveLength(native ? 2 : 3);
  });

  it("says who holds a busy device", () => {
    const holder = native ? 0 : 5;
    kernel.system.file("proc/4711/comm", "qemu\n");
    kernel.system.absoluteLink("proc/4711/fd/9", `dev/vfio/${native ? "5" : String(holder)}`);
    if (native) kernel.failures.set("3b76", 16);
    else kernel.failures.set("/dev/vfio/5", 16);
    const iommu = open();
    expect(() => iommu.openDevice(FIRST)).toThrow("held by process 4711 (qemu)");
    iommu.close();
  });

  it("gives the figures when locked memory runs out", () => {
    const iommu = open();
    iommu.openDevice(FIRST);
    kernel.failures.set(native ? "3b85" : "3b71", 12);
    kernel.memoryLimit = 8 * 2 ** 20;
    kernel.system.file("proc/self/status", "VmLck:\t    1024 kB\nVmPin:\t    2048 kB\n");
    expect(() => iommu.map(memory)).toThrow("it is 8192 KiB, 2048 KiB are locked and 16 KiB more were asked for");
    kernel.memoryLimit = Infinity;
    expect(() => iommu.map(memory)).toThrow("raise the limit on locked memory (ulimit -l");
    iommu.close();
  });

  it("refuses use after close", () => {
    const iommu = open();
    const device = iommu.openDevice(FIRST);
    iommu.close();
    iommu.close();
    expect(device.closed).toBe(true);
    expect(() => {
      device.reset();
    }).toThrow(`VFIO_DEVICE_RESET: ${FIRST} is closed`);
    expect(() => iommu.backend.openDevice(FIRST, {})).toThrow("is closed");
  });
});

describe("modes on containers", () => {
  it.each(KERNEL_MODE_NAMES.slice(0, 4))("%s says that a device must come before a map", (name) => {
    using kernel = new FakeKernel();
    const memory = DmaMemory.allocate(4096);
    const mode = createModes(kernel.environment).find((candidate) => candidate.name === name) as IommuMode;
    const iommu = new Iommu(mode.open());
    expect(() => iommu.map(memory, { iova: 0x1000n })).toThrow("open a device first");
    expect(() => iommu.iovaRanges()).toThrow("open a device first");
    iommu.close();
    memory.close();
  });
});

describe("mode iommufd", () => {
  it("lets the kernel choose an IOVA, and maps before there is a device", () => {
    using kernel = new FakeKernel();
    const memory = DmaMemory.allocate(4096);
    const iommu = new Iommu((createModes(kernel.environment)[4] as IommuMode).open());
    expect(iommu.map(memory, { iova: "kernel" }).iova).toBe(0x4000_0000n);
    iommu.close();
    memory.close();
  });

  it.each(["attached to its address space", "attached to nothing"])(
    "closes a device of its iommufd that was left open, %s",
    (state) => {
      using kernel = new FakeKernel();
      kernel.addDevice(FIRST, 5);
      const iommu = new Iommu((createModes(kernel.environment)[4] as IommuMode).open());
      const { ioas } = iommufdOf(iommu);
      iommufdOf(iommu).openDevice(FIRST).close();
      const device = iommufdOf(iommu).openDevice(FIRST);
      if (state !== "attached to nothing") iommufdDeviceOf(device).attach(ioas);
      iommu.close();
      expect(device.closed).toBe(true);
      expect(() => device.regionInfo(0)).toThrow(expect.objectContaining({ code: "ERR_CLOSED" }) as Error);
      expect(kernel.kinds()).toEqual([]);
    },
  );

  it("attaches a device to objects of its own iommufd only", () => {
    using kernel = new FakeKernel();
    kernel.addDevice(FIRST, 5);
    const mode = createModes(kernel.environment)[4] as IommuMode;
    const own = new Iommu(mode.open());
    const other = new Iommu(mode.open());
    const device = iommufdDeviceOf(own.openDevice(FIRST));
    const foreign = iommufdOf(other).ioas;
    expect(foreign.id).toBe(iommufdOf(own).ioas.id);
    expect(() => device.attach(foreign)).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }) as Error);
    device.attach(iommufdOf(own).newIoas());
    other.close();
    own.close();
    expect(kernel.kinds()).toEqual([]);
  });

  it("tells that a device is bound already", () => {
    using kernel = new FakeKernel();
    kernel.addDevice(FIRST, 5);
    const mode = createModes(kernel.environment)[4] as IommuMode;
    const first = new Iommu(mode.open());
    const second = new Iommu(mode.open());
    first.openDevice(FIRST);
    expect(() => second.openDevice(FIRST)).toThrow("VFIO_DEVICE_BIND_IOMMUFD failed on 0000:02:01.0: EINVAL");
    second.close();
    first.close();
    expect(kernel.kinds()).toEqual([]);
  });
});

describe("availability", () => {
  const answers = (kernel: FakeKernel) =>
    Object.fromEntries(createModes(kernel.environment).map((mode) => [mode.name, mode.availability()]));

  it("names the missing file and the kernel options", () => {
    using kernel = new FakeKernel();
    kernel.failures.set("/dev/iommu", 2);
    const { iommufd, vfio_type1v2_iommu: type1v2 } = answers(kernel);
    expect(iommufd).toMatchObject({ available: false, reason: "cannot open /dev/iommu: ENOENT" });
    expect(iommufd).toHaveProperty("remedy", expect.stringContaining("CONFIG_IOMMUFD"));
    expect(type1v2).toEqual({ available: true });
  });

  it("tells a missing permission, missing groups, missing device files and a missing IOMMU type", () => {
    using kernel = new FakeKernel();
    kernel.failures.set("/dev/vfio/vfio", 13);
    kernel.system.file("proc/devices", "Character devices:\n");
    expect(answers(kernel)).toMatchObject({
      vfio_type1_iommu: {
        reason: "cannot open /dev/vfio/vfio: EACCES",
        remedy: expect.stringContaining("root") as string,
      },
      iommufd_compat_type1: { available: true },
      iommufd: { reason: "this kernel has no VFIO device files" },
    });
    using other = new FakeKernel();
    other.failures.set("3b65", 25);
    expect(answers(other)).toMatchObject({
      vfio_type1_iommu: {
        available: false,
        reason: expect.stringContaining("does not offer VFIO_TYPE1_IOMMU") as string,
      },
    });
  });
});

describe("auto", () => {
  it("takes iommufd when it works", () => {
    using kernel = new FakeKernel();
    const auto = createAutoMode(createModes(kernel.environment));
    expect(auto.choose()).toMatchObject({
      mode: { name: "iommufd" },
      reason: "iommufd: it is available and preferred",
    });
    const iommu = new Iommu(auto.open());
    expect(iommu.mode).toBe("iommufd");
    iommu.close();
  });

  it("falls back to type1v2 and says why", () => {
    using kernel = new FakeKernel();
    kernel.failures.set("/dev/iommu", 2);
    const { mode, reason } = createAutoMode(createModes(kernel.environment)).choose();
    expect(mode.name).toBe("vfio_type1v2_iommu");
    expect(reason).toBe("vfio_type1v2_iommu: not iommufd (cannot open /dev/iommu: ENOENT)");
  });

  it("tells every reason when nothing works", () => {
    using kernel = new FakeKernel();
    kernel.failures.set("/dev/iommu", 2);
    kernel.failures.set("/dev/vfio/vfio", 2);
    const auto = createAutoMode(createModes(kernel.environment));
    expect(auto.availability()).toMatchObject({ available: false });
    expect(() => auto.choose()).toThrow(
      "iommufd (cannot open /dev/iommu: ENOENT); vfio_type1v2_iommu (cannot open /dev/vfio/vfio: ENOENT)",
    );
  });
});

describe("findMode", () => {
  it("knows upstream's names and auto", () => {
    expect(IOMMU_MODE_NAMES).toEqual([...KERNEL_MODE_NAMES, "auto"]);
    for (const name of IOMMU_MODE_NAMES) expect(findMode(name).name).toBe(name);
  });

  it("lists them for another", () => {
    expect(() => findMode("type1")).toThrow('mode is "type1"; allowed: vfio_type1_iommu, vfio_type1v2_iommu');
  });
});

import { readFileSync } from "node:fs";
import { Iommu, PciDevice } from "@vfio-selftests/core";
import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { pciDevice, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  VFIO_DEVICE_FEATURE_DMA_BUF,
  vfio_device_feature_dma_buf,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
  VFIO_DEVICE_FEATURE_SET,
  VFIO_PCI_ROM_REGION_INDEX,
  vfio_region_dma_range,
} from "@vfio-selftests/core/uapi";
import { fixture, requireMode, skip } from "@vfio-selftests/harness";
import { iommufdDeviceOf, iommufdOf } from "@vfio-selftests/iommu-modes";
import { encodeIoctl, iommufd as requests } from "@vfio-selftests/iommu-modes/requests";
import { closesOnExec } from "../rigs/close-on-exec";
import { PAGE_SIZE } from "../rigs/page-size";
import { ioPageTableEntry } from "../rigs/page-table/io-page-table";
import { outcome } from "../rigs/raw/ask-kernel";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

const GET = VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET;
const SET = VFIO_DEVICE_FEATURE_SET;
const O_CLOEXEC = 0o2000000;
const IOVA = 0x4000_0000n;
const PAGES = 4;
/** PCI Express (section 7.5.3) and power management (PCI-PM 1.2, section 3.2.4). */
const EXPRESS = { deviceCapabilities: 4, canReset: 1 << 28, deviceControl: 8, functionReset: 1 << 15 } as const;
const PMCSR = 4;
const D3_HOT = 3;

interface Range {
  readonly offset: number | bigint;
  readonly length: number | bigint;
}

interface ExportRequest {
  readonly region: number;
  readonly ranges: readonly Range[];
  readonly flags?: number;
  /** Of the descriptor. Default: closed when another program is executed. */
  readonly openFlags?: number;
  /** The number that the structure gives. Default: the number of `ranges`. */
  readonly rangeCount?: number;
}

/** What takes a BAR away from those who map its dma-buf, and what gives it back where that is another request. */
interface Revocation {
  readonly name: string;
  readonly revoke: (device: PciDevice) => void;
  readonly restore?: (device: PciDevice) => void;
}

const REVOCATIONS: readonly Revocation[] = [
  {
    name: "memory_space_goes_off",
    revoke: ({ config }) => (config.memoryEnable = false),
    restore: ({ config }) => (config.memoryEnable = true),
  },
  { name: "the_device_is_reset", revoke: (device) => device.reset() },
  {
    name: "its_register_resets_the_device",
    revoke: ({ config }) => {
      const express = config.findCapability(PciCapabilityId.pciExpress)?.offset ?? 0;
      if (express === 0 || (config.read32(express + EXPRESS.deviceCapabilities) & EXPRESS.canReset) === 0) {
        skip({ reason: "the device has no function-level reset", remedy: "use QEMU's igb: vfio-selftests lab run" });
      }
      const control = config.read16(express + EXPRESS.deviceControl);
      config.write16(express + EXPRESS.deviceControl, control | EXPRESS.functionReset);
    },
  },
  {
    name: "the_device_is_put_to_d3hot",
    revoke: ({ config }) => config.write16(powerStateOf(config), D3_HOT),
    restore: ({ config }) => config.write16(powerStateOf(config), 0),
  },
  {
    name: "low_power_begins",
    revoke: (device) => expect(new RawDevice(device).feature(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY | SET)).toBe(0),
    restore: (device) => expect(new RawDevice(device).feature(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT | SET)).toBe(0),
  },
];

/** A BAR as a dma-buf: what the kernel exports, what iommufd maps of it, and when the kernel revokes it. */
export function dmaBufSuite(target: SuiteTarget): void {
  const mode = target.modes.find(({ traits }) => traits.api === "iommufd");
  if (mode === undefined) return;

  fixture("vfio_pci_dma_buf", target, (address) => {
    requireMode(mode);

    const withRig = (use: (rig: DmaBufRig) => void): void => {
      using iommu = new Iommu(mode.open());
      const device = PciDevice.open(iommu, address);
      using rig = new DmaBufRig(iommu, device);
      use(rig);
    };

    it("has_the_size_of_its_ranges", () => {
      withRig((rig) => {
        const whole = rig.export({ region: rig.bar.index, ranges: [{ offset: 0, length: rig.bar.size }] });
        expect(sizeOf(whole)).toBe(rig.bar.size);
        const parts = rig.export({
          region: rig.bar.index,
          ranges: [
            { offset: 0, length: PAGE_SIZE },
            { offset: 4 * PAGE_SIZE, length: 2 * PAGE_SIZE },
          ],
        });
        expect(sizeOf(parts)).toBe(3 * PAGE_SIZE);
      });
    });

    it("is_mapped_to_the_pages_of_the_bar", () => {
      withRig((rig) => {
        const first = 2;
        const fd = rig.export({
          region: rig.bar.index,
          ranges: [{ offset: first * PAGE_SIZE, length: PAGES * PAGE_SIZE }],
        });
        expect(rig.map(fd)).toBe(0);
        expect(rig.pages()).toEqual(Array.from({ length: PAGES }, (_, page) => rig.physical(first + page)));
        expect(rig.unmap()).toBe(BigInt(PAGES * PAGE_SIZE));
        expect(rig.pages()).toEqual(new Array(PAGES).fill(undefined));
      });
    });

    it("part_of_it_is_mapped", () => {
      withRig((rig) => {
        const fd = rig.export({ region: rig.bar.index, ranges: [{ offset: PAGE_SIZE, length: PAGES * PAGE_SIZE }] });
        expect(rig.map(fd, { start: PAGE_SIZE, length: PAGE_SIZE })).toBe(0);
        expect(rig.pages()).toEqual([rig.physical(2), undefined, undefined, undefined]);
        expect(rig.map(fd, { start: PAGE_SIZE, length: PAGES * PAGE_SIZE, iova: 2n * IOVA })).toBe("EINVAL");
      });
    });

    for (const { name, revoke, restore } of REVOCATIONS) {
      it(`mapping_ends_when_${name}`, () => {
        withRig((rig) => {
          const fd = rig.export({ region: rig.bar.index, ranges: [{ offset: 0, length: PAGES * PAGE_SIZE }] });
          expect(rig.map(fd)).toBe(0);
          expect(rig.pages()[0]).toBe(rig.physical(0));
          revoke(rig.device);
          // vfio_pci_dma_buf_move tells iommufd, which takes the pages from the IOMMU.
          expect(rig.pages()).toEqual(new Array(PAGES).fill(undefined));
          if (restore !== undefined) {
            expect(rig.map(fd, { iova: 2n * IOVA })).toBe("ENODEV");
            restore(rig.device);
          }
          // The old mapping stays empty, and a new one can be made.
          expect(rig.pages()).toEqual(new Array(PAGES).fill(undefined));
          expect(rig.unmap()).toBe(BigInt(PAGES * PAGE_SIZE));
          expect(rig.map(fd)).toBe(0);
          expect(rig.pages()[0]).toBe(rig.physical(0));
        });
      });
    }

    for (const { name, revoke, restore } of REVOCATIONS.slice(1)) {
      it(`stays_of_no_use_without_memory_space_after_${name}`, () => {
        withRig((rig) => {
          const fd = rig.export({ region: rig.bar.index, ranges: [{ offset: 0, length: PAGES * PAGE_SIZE }] });
          const { config } = rig.device;
          config.memoryEnable = false;
          revoke(rig.device);
          restore?.(rig.device);
          // Each of these requests gives the BARs back only where the user's memory space is on.
          expect([config.memoryEnable, rig.map(fd)]).toEqual([false, "ENODEV"]);
          config.memoryEnable = true;
          expect(rig.map(fd)).toBe(0);
          expect(rig.pages()[0]).toBe(rig.physical(0));
        });
      });
    }

    it("stays_of_no_use_in_d3hot_whatever_memory_space_is", () => {
      withRig((rig) => {
        const fd = rig.export({ region: rig.bar.index, ranges: [{ offset: 0, length: PAGES * PAGE_SIZE }] });
        const { config } = rig.device;
        const power = powerStateOf(config);
        config.write16(power, D3_HOT);
        for (const on of [false, true]) {
          config.memoryEnable = on;
          expect([on, rig.map(fd)]).toEqual([on, "ENODEV"]);
        }
        config.write16(power, 0);
        expect(rig.map(fd)).toBe(0);
      });
    });

    it("every_one_ends_with_memory_space", () => {
      withRig((rig) => {
        const buffers = [0, 1, 2].map((page) =>
          rig.export({ region: rig.bar.index, ranges: [{ offset: page * PAGE_SIZE, length: PAGE_SIZE }] }),
        );
        const iova = (number: number) => IOVA + BigInt(number * PAGE_SIZE);
        const map = () => buffers.map((fd, number) => rig.map(fd, { length: PAGE_SIZE, iova: iova(number) }));
        expect(map()).toEqual([0, 0, 0]);
        expect(rig.pages()).toEqual([rig.physical(0), rig.physical(1), rig.physical(2), undefined]);
        rig.device.config.memoryEnable = false;
        expect(rig.pages()).toEqual(new Array(PAGES).fill(undefined));
        rig.device.config.memoryEnable = true;
      });
    });

    it("descriptor_is_inherited_by_programs_only_where_asked", () => {
      withRig((rig) => {
        const request = { region: rig.bar.index, ranges: [{ offset: 0, length: PAGE_SIZE }] };
        const flags = [O_CLOEXEC, 0].map((openFlags) => closesOnExec(rig.export({ ...request, openFlags })));
        expect(flags).toEqual([true, false]);
      });
    });

    it("is_in_page_tables_that_come_later_and_leaves_them_when_it_is_revoked", () => {
      withRig((rig) => {
        const door = iommufdOf(rig.iommu);
        const tie = iommufdDeviceOf(rig.device.vfio);
        const fd = rig.export({ region: rig.bar.index, ranges: [{ offset: 0, length: PAGES * PAGE_SIZE }] });
        expect(rig.map(fd)).toBe(0);
        const all = Array.from({ length: PAGES }, (_, page) => rig.physical(page));
        const none = new Array<undefined>(PAGES).fill(undefined);
        expect(rig.pages()).toEqual(all);
        // iopt_fill_domain, iopt_unfill_domain
        const table = door.newPageTable({ device: tie, ioas: door.ioas });
        try {
          tie.attach(table);
          expect(rig.pages()).toEqual(all);
          rig.device.config.memoryEnable = false;
          expect(rig.pages()).toEqual(none);
          tie.attach(door.ioas);
          expect(rig.pages()).toEqual(none);
          rig.device.config.memoryEnable = true;
          expect(rig.unmap()).toBe(BigInt(PAGES * PAGE_SIZE));
          expect(rig.map(fd)).toBe(0);
          expect(rig.pages()).toEqual(all);
          tie.attach(table);
          expect(rig.pages()).toEqual(all);
          expect(rig.unmap()).toBe(BigInt(PAGES * PAGE_SIZE));
          expect(rig.pages()).toEqual(none);
        } finally {
          tie.attach(door.ioas);
          table.close();
        }
      });
    });

    it("is_of_no_use_after_the_device_is_closed", () => {
      withRig((rig) => {
        const fd = rig.export({ region: rig.bar.index, ranges: [{ offset: 0, length: PAGES * PAGE_SIZE }] });
        expect(rig.map(fd)).toBe(0);
        rig.device.close();
        expect(rig.map(fd, { iova: 2n * IOVA })).toBe("ENODEV");
        expect(sizeOf(fd)).toBe(PAGES * PAGE_SIZE);
      });
    });

    it("is_of_no_use_while_memory_space_is_off", () => {
      withRig((rig) => {
        const range = { offset: 0, length: PAGES * PAGE_SIZE };
        const before = rig.export({ region: rig.bar.index, ranges: [range] });
        rig.device.config.memoryEnable = false;
        const meanwhile = rig.export({ region: rig.bar.index, ranges: [range] });
        expect([rig.map(before), rig.map(meanwhile)]).toEqual(["ENODEV", "ENODEV"]);
        rig.device.config.memoryEnable = true;
        expect(rig.map(before)).toBe(0);
        expect(rig.map(meanwhile, { iova: 2n * IOVA })).toBe(0);
        expect(rig.pages()[0]).toBe(rig.physical(0));
      });
    });

    it("two_ranges_are_too_many_for_iommufd", () => {
      withRig((rig) => {
        const ranges = [
          { offset: 0, length: PAGE_SIZE },
          { offset: PAGE_SIZE, length: PAGE_SIZE },
        ];
        const fd = rig.export({ region: rig.bar.index, ranges });
        expect(rig.map(fd, { length: PAGE_SIZE })).toBe("EOPNOTSUPP");
      });
    });

    describe("refused", () => {
      const page = { offset: 0, length: PAGE_SIZE };
      const refused: Readonly<Record<string, (rig: DmaBufRig) => ExportRequest & { readonly errno: string }>> = {
        flags: ({ bar }) => ({ region: bar.index, ranges: [page], flags: 1, errno: "EINVAL" }),
        no_range: ({ bar }) => ({ region: bar.index, ranges: [], errno: "EINVAL" }),
        rom: () => ({ region: VFIO_PCI_ROM_REGION_INDEX, ranges: [page], errno: "ENODEV" }),
        region_beyond: () => ({ region: 0xffff_ffff, ranges: [page], errno: "ENODEV" }),
        bar_that_the_device_lacks: ({ device }) => {
          const absent = device.bars.find(({ region }) => region.size === 0);
          if (absent === undefined) skip({ reason: "the device has six BARs", remedy: "use another device" });
          return { region: absent.index, ranges: [page], errno: "ENODEV" };
        },
        io_ports: ({ device }) => {
          const ports = device.bars.find(({ kind }) => kind === "io");
          if (ports === undefined) skip({ reason: "the device has no I/O ports", remedy: "use a device with some" });
          return { region: ports.index, ranges: [page], errno: "EINVAL" };
        },
        empty_range: ({ bar }) => ({ region: bar.index, ranges: [{ offset: 0, length: 0 }], errno: "EINVAL" }),
        second_range_empty: ({ bar }) => ({
          region: bar.index,
          ranges: [page, { offset: PAGE_SIZE, length: 0 }],
          errno: "EINVAL",
        }),
        part_of_a_page: ({ bar }) => ({ region: bar.index, ranges: [{ offset: 0, length: 512 }], errno: "EINVAL" }),
        offset_in_a_page: ({ bar }) => ({
          region: bar.index,
          ranges: [{ offset: 512, length: PAGE_SIZE }],
          errno: "EINVAL",
        }),
        second_range_beyond_the_bar: ({ bar }) => ({
          region: bar.index,
          ranges: [page, { offset: bar.size, length: PAGE_SIZE }],
          errno: "EINVAL",
        }),
        end_of_the_bar: ({ bar }) => ({
          region: bar.index,
          ranges: [{ offset: bar.size, length: PAGE_SIZE }],
          errno: "EINVAL",
        }),
        across_the_end_of_the_bar: ({ bar }) => ({
          region: bar.index,
          ranges: [{ offset: bar.size - PAGE_SIZE, length: 2 * PAGE_SIZE }],
          errno: "EINVAL",
        }),
        overflowing_lengths: ({ bar }) => ({
          region: bar.index,
          ranges: [page, { offset: 0, length: 2n ** 64n - BigInt(PAGE_SIZE) }],
          errno: "EINVAL",
        }),
        overflowing_range: ({ bar }) => ({
          region: bar.index,
          ranges: [{ offset: 2n ** 64n - BigInt(PAGE_SIZE), length: PAGE_SIZE }],
          errno: "EOVERFLOW",
        }),
      };

      for (const [name, request] of Object.entries(refused)) {
        it(name, () => {
          withRig((rig) => {
            const { errno, ...rest } = request(rig);
            expect(rig.tryExport(rest)).toBe(errno);
          });
        });
      }
    });
  });
}

/** Offset of the power state's register. Skips the test where the device has none. */
function powerStateOf(config: PciDevice["config"]): number {
  const pm = config.findCapability(PciCapabilityId.powerManagement);
  if (pm === undefined) skip({ reason: "the device has no power management", remedy: "use QEMU's igb" });
  return pm.offset + PMCSR;
}

function sizeOf(fd: number): number {
  return Number(/^size:\s*(\d+)/m.exec(readFileSync(systemPaths.proc("self", "fdinfo", String(fd)), "utf8"))?.[1]);
}

/** A device, its dma-bufs, and the IOVAs at which they are mapped. */
class DmaBufRig implements Disposable {
  readonly device: PciDevice;
  readonly bar: PciDevice["bars"][number];
  readonly iommu: Iommu;
  readonly #raw: RawDevice;
  readonly #buffers: OwnedDescriptor[] = [];

  constructor(iommu: Iommu, device: PciDevice) {
    const bar = device.bars.find(({ mappable, size }) => mappable && size >= 8 * PAGE_SIZE);
    if (bar === undefined) skip({ reason: "no BAR of eight pages can be mapped", remedy: "use a device with one" });
    this.iommu = iommu;
    this.device = device;
    this.bar = bar;
    this.#raw = new RawDevice(device);
  }

  /** Returns a descriptor, or the name of an errno. */
  tryExport(request: ExportRequest): number | string {
    const { region, ranges, flags = 0, openFlags = O_CLOEXEC, rangeCount = ranges.length } = request;
    const { fields, size } = vfio_device_feature_dma_buf;
    const view = vfio_device_feature_dma_buf.allocate(ranges.length * vfio_region_dma_range.size);
    fields.region_index.set(view, region);
    fields.open_flags.set(view, openFlags);
    fields.flags.set(view, flags);
    fields.nr_ranges.set(view, rangeCount);
    ranges.forEach(({ offset, length }, number) => {
      const at = (size + number * vfio_region_dma_range.size) / 8;
      view.u64[at] = BigInt(offset);
      view.u64[at + 1] = BigInt(length);
    });
    const result = this.#raw.feature(GET, view.bytes);
    if (typeof result === "number") this.#buffers.push(new OwnedDescriptor(result, "dma-buf"));
    return result;
  }

  export(request: ExportRequest): number {
    const result = this.tryExport(request);
    if (typeof result === "string") throw new Error(`the kernel did not export the BAR: ${result}`);
    return result;
  }

  map(fd: number, { start = 0, length = PAGES * PAGE_SIZE, iova = IOVA } = {}): number | string {
    const { file, ioas } = iommufdOf(this.iommu);
    const request = encodeIoctl(requests.ioasMapFile, ioas.id, "read-write", fd, start, iova, length);
    return outcome(file.attempt(request));
  }

  unmap(): bigint {
    return iommufdOf(this.iommu).ioas.unmap(IOVA, BigInt(PAGES * PAGE_SIZE));
  }

  /** The physical address to which the IOMMU leads each page. Skips the test where the kernel does not show it. */
  pages(): (bigint | undefined)[] {
    return Array.from({ length: PAGES }, (_, page) => {
      const entry = ioPageTableEntry(this.device.address, IOVA + BigInt(page * PAGE_SIZE));
      if (entry.readable) return entry.physical;
      skip({ reason: entry.reason, remedy: "use the lab with an Intel IOMMU: vfio-selftests lab run --iommu intel" });
    });
  }

  /** Physical address of a page of the BAR. */
  physical(page: number): bigint {
    const start = pciDevice(this.device.address).resources[this.bar.index]?.start ?? 0n;
    return start + BigInt(page * PAGE_SIZE);
  }

  [Symbol.dispose](): void {
    for (const buffer of this.#buffers) buffer.close();
    if (!this.device.closed) this.device.close();
  }
}

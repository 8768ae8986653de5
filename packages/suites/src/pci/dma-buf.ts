import { readFileSync } from "node:fs";
import { Iommu, PciDevice } from "@vfio-selftests/core";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import { VFIO_PCI_ROM_REGION_INDEX } from "@vfio-selftests/core/uapi";
import { fixture, requireMode, skip } from "@vfio-selftests/harness";
import { iommufdDeviceOf, iommufdOf } from "@vfio-selftests/iommu-modes";
import { closesOnExec } from "../rigs/device/close-on-exec";
import { DmaBufRig, type ExportRequest, IOVA, O_CLOEXEC, PAGES } from "../rigs/dma/dma-buf/dma-buf-rig";
import { D3_HOT, powerStateOf, REVOCATIONS } from "../rigs/dma/dma-buf/revocations";
import { modesOf } from "../rigs/iommu/modes-of";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { KernelAccess } from "../rigs/mock-iommu/kernel-access";
import { MockRig } from "../rigs/mock-iommu/mock-rig";
import { MOCK_ACCESS_RW_SLOW_PATH, MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES } from "../rigs/mock-iommu/test-command";
import type { SuiteTarget } from "../suite-target";

/** A BAR as a dma-buf: what the kernel exports, what iommufd maps of it, and when the kernel revokes it. */
export function dmaBufSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
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

    it("is_held_by_its_mapping_alone", () => {
      withRig((rig) => {
        const fd = rig.export({ region: rig.bar.index, ranges: [{ offset: 0, length: PAGES * PAGE_SIZE }] });
        const before = holdersOf(fd);
        expect(rig.map(fd)).toBe(0);
        expect(holdersOf(fd)).toBe(before + 1);
        // iopt_release_pages
        expect(rig.unmap()).toBe(BigInt(PAGES * PAGE_SIZE));
        expect(holdersOf(fd)).toBe(before);
      });
    });

    it("is_no_memory_for_the_kernel", () => {
      using mock = new MockRig(mode);
      using rig = new DmaBufRig(mock.iommu, PciDevice.open(mock.iommu, address));
      const fd = rig.export({ region: rig.bar.index, ranges: [{ offset: 0, length: PAGES * PAGE_SIZE }] });
      expect(rig.map(fd)).toBe(0);
      using access = new KernelAccess(mock, MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES);
      // iopt_pages_rw_access, iopt_area_add_access
      for (const slow of [0, MOCK_ACCESS_RW_SLOW_PATH]) {
        expect(access.read(IOVA, 1, slow).outcome).toBe("EINVAL");
        expect(access.write(IOVA, Uint8Array.of(1), slow)).toBe("EINVAL");
      }
      expect(access.pin(IOVA, PAGE_SIZE, { anyMemory: true }).outcome).toBe("EINVAL");
    });

    it("is_writable_only_where_it_is_mapped_so", () => {
      withRig((rig) => {
        const fd = rig.export({ region: rig.bar.index, ranges: [{ offset: 0, length: PAGES * PAGE_SIZE }] });
        for (const access of ["read", "read-write"] as const) {
          expect(rig.map(fd, { access })).toBe(0);
          expect([access, rig.writable()]).toEqual([access, new Array(PAGES).fill(access === "read-write")]);
          expect(rig.unmap()).toBe(BigInt(PAGES * PAGE_SIZE));
        }
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

    it("mapping_outlives_commands_that_leave_memory_space_on", () => {
      withRig((rig) => {
        const fd = rig.export({ region: rig.bar.index, ranges: [{ offset: 0, length: PAGES * PAGE_SIZE }] });
        expect(rig.map(fd)).toBe(0);
        const { config } = rig.device;
        for (const busMaster of [false, true]) {
          config.busMaster = busMaster;
          // vfio_basic_config_write calls vfio_pci_dma_buf_move each time, which has nothing to move.
          expect([busMaster, rig.pages()[0]]).toEqual([busMaster, rig.physical(0)]);
        }
      });
    });

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

function sizeOf(fd: number): number {
  return factOf(fd, "size");
}

/** How many descriptors, mappings and the like hold the dma-buf. */
function holdersOf(fd: number): number {
  return factOf(fd, "count");
}

function factOf(fd: number, name: string): number {
  const facts = readFileSync(systemPaths.proc("self", "fdinfo", String(fd)), "utf8");
  return Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(facts)?.[1]);
}

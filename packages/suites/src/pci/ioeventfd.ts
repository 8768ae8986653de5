import { Eventfd } from "@vfio-selftests/core";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import {
  vfio_device_ioeventfd,
  VFIO_DEVICE_IOEVENTFD_8,
  VFIO_DEVICE_IOEVENTFD_16,
  VFIO_DEVICE_IOEVENTFD_32,
  VFIO_DEVICE_IOEVENTFD_64,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_ROM_REGION_INDEX,
} from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, skip } from "@vfio-selftests/harness";
import { type ScratchRegisters, scratchRegistersOf } from "../devices/scratch-registers";
import { openForBlock } from "../rigs/device/open-device";
import { RawDevice, type RawIoeventfd } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

const WIDTHS = [
  { bytes: 1, flags: VFIO_DEVICE_IOEVENTFD_8, value: 0xa5n },
  { bytes: 2, flags: VFIO_DEVICE_IOEVENTFD_16, value: 0xa55an },
  { bytes: 4, flags: VFIO_DEVICE_IOEVENTFD_32, value: 0xa55a_1234n },
  { bytes: 8, flags: VFIO_DEVICE_IOEVENTFD_64, value: 0xa55a_1234_600d_f00dn },
] as const;
/** VFIO_PCI_IOEVENTFD_MAX (vfio_pci_priv.h). */
const MOST = 1000;
/** No process has this many descriptors open. */
const NO_DESCRIPTOR = 0x7fff_fff0;
const MSIX_TABLE = 4;
/** Bits of the command register. */
const IO_SPACE = 1 << 0;
const MEMORY_SPACE = 1 << 1;

/** VFIO_DEVICE_IOEVENTFD: an eventfd's signal makes the kernel write to a register. */
export function ioeventfdSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_ioeventfd", target, (address) => {
    const device = openForBlock(mode, address);

    const withScratch = (
      use: (scratch: ScratchRegisters, set: (request: Partial<RawIoeventfd> & { fd: number }) => unknown) => void,
    ): void => {
      const scratch = scratchRegistersOf(device());
      const raw = new RawDevice(device());
      const clear = () => {
        for (let number = 0; number < 4; number++)
          device()
            .bar(scratch.bar)
            .write32(scratch.offset + 4 * number, 0);
      };
      clear();
      const defaults = {
        flags: VFIO_DEVICE_IOEVENTFD_32,
        offset: raw.positionOf(scratch.bar, scratch.offset),
        data: 0x600d_f00dn,
      };
      try {
        use(scratch, (request) => raw.ioeventfd({ ...defaults, ...request }));
      } finally {
        clear();
      }
    };

    for (const { bytes, flags, value } of WIDTHS) {
      it(`writes_${bytes}_bytes_when_signalled`, () => {
        withScratch(({ bar, offset }, set) => {
          const registers = device().bar(bar);
          // What one store of this width does to the registers.
          const shown = () => [registers.read32(offset), registers.read32(offset + 4)];
          if (bytes === 1) registers.write8(offset, Number(value));
          else if (bytes === 2) registers.write16(offset, Number(value));
          else if (bytes === 4) registers.write32(offset, Number(value));
          else registers.write64(offset, value);
          const expected = shown();
          registers.write64(offset, 0n);
          using eventfd = new Eventfd("ioeventfd");
          expect(set({ flags, data: value, fd: eventfd.fd })).toBe(0);
          expect(shown()).toEqual([0, 0]);
          for (let round = 0; round < 2; round++) {
            eventfd.signal();
            expect(shown()).toEqual(expected);
            registers.write64(offset, 0n);
          }
          // The kernel took the counts.
          expect(eventfd.tryRead()).toBeUndefined();
          expect(set({ flags, data: value, fd: -1 })).toBe(0);
        });
      });
    }

    it("removed_writes_no_more", () => {
      withScratch(({ bar, offset }, set) => {
        using eventfd = new Eventfd("ioeventfd");
        expect(set({ fd: eventfd.fd })).toBe(0);
        expect(set({ fd: -1 })).toBe(0);
        eventfd.signal();
        expect([device().bar(bar).read32(offset), eventfd.tryRead()]).toEqual([0, 1n]);
        expect(set({ fd: -1 })).toBe("ENODEV");
      });
    });

    it("same_request_twice_is_refused", () => {
      withScratch((_, set) => {
        using eventfd = new Eventfd("ioeventfd");
        using other = new Eventfd("other");
        expect(set({ fd: eventfd.fd })).toBe(0);
        expect(set({ fd: eventfd.fd })).toBe("EEXIST");
        expect(set({ fd: other.fd })).toBe("EEXIST");
        expect(set({ fd: -1 })).toBe(0);
      });
    });

    it("place_width_and_value_tell_requests_apart", () => {
      withScratch(({ bar, offset }, set) => {
        const raw = new RawDevice(device());
        const next = raw.positionOf(bar, offset + 4);
        const requests = [
          { data: 1n },
          { data: 2n },
          { data: 1n, offset: next },
          { data: 1n, flags: VFIO_DEVICE_IOEVENTFD_16 },
        ];
        const eventfds = requests.map((_request, number) => new Eventfd(`ioeventfd ${number}`));
        try {
          requests.forEach((request, number) => {
            expect([number, set({ ...request, fd: eventfds[number]?.fd ?? -1 })]).toEqual([number, 0]);
          });
          const registers = device().bar(bar);
          eventfds[1]?.signal();
          expect([registers.read32(offset), registers.read32(offset + 4)]).toEqual([2, 0]);
          eventfds[2]?.signal();
          expect([registers.read32(offset), registers.read32(offset + 4)]).toEqual([2, 1]);
          // Taking one away leaves the others.
          expect(set({ ...requests[0], fd: -1 })).toBe(0);
          eventfds[0]?.signal();
          expect(registers.read32(offset)).toBe(2);
          eventfds[3]?.signal();
          expect(registers.read32(offset)).toBe(1);
          for (const request of requests.slice(1)) expect(set({ ...request, fd: -1 })).toBe(0);
        } finally {
          for (const eventfd of eventfds) eventfd.close();
        }
      });
    });

    it("same_offset_of_another_bar_is_another_place", () => {
      withScratch(({ bar, offset }, set) => {
        const other = device().bars.find(
          ({ index, kind, size }) => index !== bar && kind === "memory" && size > offset,
        );
        if (other === undefined) skip({ reason: "no other BAR is as large", remedy: "use QEMU's igb" });
        const elsewhere = new RawDevice(device()).positionOf(other.index, offset);
        using eventfd = new Eventfd("ioeventfd");
        using unused = new Eventfd("of the other BAR");
        expect(set({ fd: eventfd.fd })).toBe(0);
        expect(set({ offset: elsewhere, fd: unused.fd })).toBe(0);
        expect(set({ offset: elsewhere, fd: -1 })).toBe(0);
        expect(set({ offset: elsewhere, fd: -1 })).toBe("ENODEV");
        eventfd.signal();
        expect(device().bar(bar).read32(offset)).toBe(0x600d_f00d);
        expect(set({ fd: -1 })).toBe(0);
      });
    });

    it("of_io_ports_needs_no_memory_space", () => {
      const ports = device().bars.find(({ kind }) => kind === "io");
      if (ports === undefined) skip({ reason: "the device has no I/O ports", remedy: "use a device with I/O ports" });
      const { config } = device();
      const { command } = config;
      const raw = new RawDevice(device());
      // An Intel network card's IOADDR keeps what is written (82576 datasheet, section 3.1.1.2).
      const request = { flags: VFIO_DEVICE_IOEVENTFD_32, offset: raw.positionOf(ports.index, 0), data: 0x18n };
      using eventfd = new Eventfd("I/O ports");
      config.command = command | IO_SPACE;
      try {
        expect(raw.ioeventfd({ ...request, fd: eventfd.fd })).toBe(0);
        expect(raw.write(ports.index, 0, Uint8Array.of(0x08, 0, 0, 0))).toBe(4);
        config.command = (command | IO_SPACE) & ~MEMORY_SPACE;
        eventfd.signal();
        expect(raw.read(ports.index, 0, 4)).toEqual({ result: 4, bytes: Buffer.of(0x18, 0, 0, 0) });
        expect(raw.ioeventfd({ ...request, fd: -1 })).toBe(0);
      } finally {
        config.command = command;
      }
    });

    it("signalled_before_counts", () => {
      withScratch(({ bar, offset }, set) => {
        using eventfd = new Eventfd("ioeventfd");
        eventfd.signal();
        expect(set({ fd: eventfd.fd })).toBe(0);
        expect(device().bar(bar).read32(offset)).toBe(0x600d_f00d);
        expect(set({ fd: -1 })).toBe(0);
      });
    });

    it("writes_nothing_while_memory_space_is_off", () => {
      withScratch(({ bar, offset }, set) => {
        const { config } = device();
        using eventfd = new Eventfd("ioeventfd");
        expect(set({ fd: eventfd.fd })).toBe(0);
        config.memoryEnable = false;
        eventfd.signal();
        config.memoryEnable = true;
        expect(device().bar(bar).read32(offset)).toBe(0);
        eventfd.signal();
        expect(device().bar(bar).read32(offset)).toBe(0x600d_f00d);
        expect(set({ fd: -1 })).toBe(0);
      });
    });

    it("closed_eventfd_leaves_the_request", () => {
      withScratch((_, set) => {
        const eventfd = new Eventfd("ioeventfd");
        expect(set({ fd: eventfd.fd })).toBe(0);
        eventfd.close();
        using other = new Eventfd("other");
        expect(set({ fd: other.fd })).toBe("EEXIST");
        expect(set({ fd: -1 })).toBe(0);
        expect(set({ fd: other.fd })).toBe(0);
        expect(set({ fd: -1 })).toBe(0);
      });
    });

    it("a_thousand_and_no_more", () => {
      withScratch((_, set) => {
        using eventfd = new Eventfd("ioeventfd");
        let made = 0;
        try {
          while (made < MOST && set({ data: BigInt(made), fd: eventfd.fd }) === 0) made++;
          expect(made).toBe(MOST);
          expect(set({ data: BigInt(MOST), fd: eventfd.fd })).toBe("ENOSPC");
          // A removed one makes room again.
          expect(set({ data: 0n, fd: -1 })).toBe(0);
          expect(set({ data: BigInt(MOST), fd: eventfd.fd })).toBe(0);
          expect(set({ data: BigInt(MOST), fd: -1 })).toBe(0);
        } finally {
          for (let number = 1; number < made; number++) set({ data: BigInt(number), fd: -1 });
        }
      });
    });

    describe("refused", () => {
      const refused: Readonly<Record<string, (scratch: ScratchRegisters) => Partial<RawIoeventfd>>> = {
        structure_too_short: () => ({ argsz: 27 }),
        no_width: () => ({ flags: 0 }),
        two_widths: () => ({ flags: VFIO_DEVICE_IOEVENTFD_8 | VFIO_DEVICE_IOEVENTFD_32 }),
        unknown_flag: () => ({ flags: VFIO_DEVICE_IOEVENTFD_32 | (1 << 4) }),
        descriptor_minus_2: () => ({ fd: -2 }),
        no_eventfd: () => ({ fd: 0 }),
        end_of_the_bar: ({ bar }) => ({ offset: position(bar, device().bar(bar).size) }),
        across_the_end_of_the_bar: ({ bar }) => ({
          offset: position(bar, device().bar(bar).size - 4),
          flags: VFIO_DEVICE_IOEVENTFD_64,
        }),
        rom: () => ({ offset: position(VFIO_PCI_ROM_REGION_INDEX, 0) }),
        configuration_space: () => ({ offset: position(VFIO_PCI_CONFIG_REGION_INDEX, 0) }),
        bar_that_the_device_lacks: () => {
          const absent = device().bars.find(({ region }) => region.size === 0);
          if (absent === undefined) skip({ reason: "the device has six BARs", remedy: "use another device" });
          return { offset: position(absent.index, 0) };
        },
        msix_table: () => ({ offset: position(table().bar, table().start) }),
        last_of_the_msix_table: () => ({ offset: position(table().bar, table().end - 4) }),
        last_byte_of_the_msix_table: () => ({
          offset: position(table().bar, table().end - 1),
          flags: VFIO_DEVICE_IOEVENTFD_8,
        }),
        across_the_end_of_the_msix_table: () => ({
          offset: position(table().bar, table().end - 4),
          flags: VFIO_DEVICE_IOEVENTFD_64,
        }),
        across_the_start_of_the_msix_table: () => {
          const { bar, start } = table();
          if (start === 0) skip({ reason: "the table begins with its BAR", remedy: "use QEMU's nvme" });
          return { offset: position(bar, start - 4), flags: VFIO_DEVICE_IOEVENTFD_64 };
        },
      };
      const position = (region: number, offset: number) => new RawDevice(device()).positionOf(region, offset);
      const table = () => {
        const capability = device().config.findCapability(PciCapabilityId.msix);
        if (capability === undefined) skip({ reason: "the device has no MSI-X", remedy: "use a device with MSI-X" });
        const place = device().config.read32(capability.offset + MSIX_TABLE);
        return { bar: place & 7, start: place & ~7, end: (place & ~7) + 16 * device().interrupts.msix.count };
      };

      for (const [name, request] of Object.entries(refused)) {
        it(name, () => {
          withScratch((scratch, set) => {
            using eventfd = new Eventfd("ioeventfd");
            expect(set({ fd: eventfd.fd, ...request(scratch) })).toBe("EINVAL");
          });
        });
      }

      it("no_such_descriptor", () => {
        withScratch((_, set) => {
          expect(set({ fd: NO_DESCRIPTOR })).toBe("EBADF");
          // It left nothing behind: the same request is still possible.
          using eventfd = new Eventfd("ioeventfd");
          expect(set({ fd: eventfd.fd })).toBe(0);
          expect(set({ fd: -1 })).toBe(0);
        });
      });

      it("but_not_beside_the_msix_table", () => {
        const { bar, end } = table();
        const raw = new RawDevice(device());
        const request = { flags: VFIO_DEVICE_IOEVENTFD_32, offset: raw.positionOf(bar, end), data: 0n };
        using eventfd = new Eventfd("ioeventfd");
        expect(raw.ioeventfd({ ...request, fd: eventfd.fd })).toBe(0);
        expect(raw.ioeventfd({ ...request, fd: -1 })).toBe(0);
      });

      it("but_not_the_shortest_structure", () => {
        withScratch((_, set) => {
          using eventfd = new Eventfd("ioeventfd");
          const { fd } = vfio_device_ioeventfd.fields;
          expect(set({ argsz: fd.offset + fd.width, fd: eventfd.fd })).toBe(0);
          expect(set({ fd: -1 })).toBe(0);
        });
      });

      it("but_not_the_last_register_of_the_bar", () => {
        withScratch(({ bar }, set) => {
          const offset = position(bar, device().bar(bar).size - 4);
          using eventfd = new Eventfd("ioeventfd");
          expect(set({ offset, fd: eventfd.fd })).toBe(0);
          expect(set({ offset, fd: -1 })).toBe(0);
        });
      });
    });
  });
}

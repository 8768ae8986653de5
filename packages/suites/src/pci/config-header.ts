import type { PciDevice } from "@vfio-selftests/core";
import { VFIO_PCI_CONFIG_REGION_INDEX } from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, skip } from "@vfio-selftests/harness";
import { SHOWN_CAPABILITIES, standardCapabilities } from "../rigs/config-space/physical-capabilities";
import { PhysicalConfig } from "../rigs/config-space/physical-config";
import { openForBlock } from "../rigs/device/open-device";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";
import { baseAddressTests } from "./config-bars";

const CONFIG = VFIO_PCI_CONFIG_REGION_INDEX;
const COMMAND = 0x04;
const IO = 1 << 0;
const MEMORY = 1 << 1;
const BUS_MASTER = 1 << 2;
const INTX_DISABLE = 1 << 10;
const SYSTEM_ERROR = 1 << 8;
const STATUS = 0x06;
const CAPABILITY_LIST = 1 << 4;
const BAR_0 = 0x10;
const ROM_BAR = 0x30;
const HEADER = 0x40;

/** Registers of the header that nobody can write (init_pci_cap_basic_perm). */
const READ_ONLY = [
  { name: "vendor_id", offset: 0x00, width: 2 },
  { name: "device_id", offset: 0x02, width: 2 },
  { name: "status", offset: 0x06, width: 2 },
  { name: "revision", offset: 0x08, width: 1 },
  { name: "programming_interface", offset: 0x09, width: 1 },
  { name: "sub_class", offset: 0x0a, width: 1 },
  { name: "base_class", offset: 0x0b, width: 1 },
  { name: "header_type", offset: 0x0e, width: 1 },
  { name: "cardbus_pointer", offset: 0x28, width: 4 },
  { name: "subsystem_vendor", offset: 0x2c, width: 2 },
  { name: "subsystem", offset: 0x2e, width: 2 },
  { name: "capability_pointer", offset: 0x34, width: 1 },
  { name: "interrupt_pin", offset: 0x3d, width: 1 },
  { name: "minimum_grant", offset: 0x3e, width: 1 },
  { name: "maximum_latency", offset: 0x3f, width: 1 },
] as const;

/** The header of configuration space: what vfio-pci keeps to itself, lets through to the device, or emulates. */
export function configHeaderSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_config_header", target, (address) => {
    const device = openForBlock(mode, address);

    const withPhysical = (use: (physical: PhysicalConfig) => void): void => {
      using physical = new PhysicalConfig(address);
      use(physical);
    };
    const requireLab = (): void => {
      if (target.kind === "lab") return;
      skip({ reason: "the test takes the device's BARs away", remedy: "run it in the lab: vfio-selftests lab run" });
    };
    const seen = (offset: number, width: number) => new RawDevice(device()).read(CONFIG, offset, width).bytes;
    const write = (offset: number, bytes: Uint8Array) => new RawDevice(device()).write(CONFIG, offset, bytes);

    it("identity_is_the_devices", () => {
      withPhysical((physical) => {
        for (const { name, offset, width } of READ_ONLY.filter((register) => register.name !== "status")) {
          expect([name, seen(offset, width)]).toEqual([name, physical.bytes(offset, width)]);
        }
      });
    });

    for (const { name, offset, width } of READ_ONLY) {
      it(`${name}_takes_no_write`, () => {
        withPhysical((physical) => {
          const before = [seen(offset, width), physical.bytes(offset, width)];
          const inverse = Uint8Array.from(seen(offset, width), (byte) => byte ^ 0xff);
          expect(write(offset, inverse)).toBe(width);
          expect([seen(offset, width), physical.bytes(offset, width)]).toEqual(before);
        });
      });
    }

    it("cache_line_size_is_the_devices", () => {
      withPhysical((physical) => {
        const before = physical.read8(0x0c);
        try {
          expect(write(0x0c, Uint8Array.of(0x40))).toBe(1);
          expect([physical.read8(0x0c), seen(0x0c, 1)[0]]).toEqual([0x40, 0x40]);
        } finally {
          write(0x0c, Uint8Array.of(before));
        }
        expect(physical.read8(0x0c)).toBe(before);
      });
    });

    it("interrupt_line_is_the_users", () => {
      withPhysical((physical) => {
        const [before, real] = [device().config.read8(0x3c), physical.read8(0x3c)];
        expect(write(0x3c, Uint8Array.of(0x5a))).toBe(1);
        expect([seen(0x3c, 1)[0], physical.read8(0x3c)]).toEqual([0x5a, real]);
        expect(write(0x3c, Uint8Array.of(before))).toBe(1);
        expect(seen(0x3c, 1)[0]).toBe(before);
      });
    });

    describe("command", () => {
      for (const [name, bit] of [
        ["memory", MEMORY],
        ["bus_master", BUS_MASTER],
        ["system_error", SYSTEM_ERROR],
      ] as const) {
        it(`${name}_goes_to_the_device`, () => {
          withPhysical((physical) => {
            const { config } = device();
            const before = config.command;
            try {
              for (const on of [true, false, true]) {
                const wanted = on ? before | bit : before & ~bit;
                config.command = wanted;
                expect([config.command, physical.read16(COMMAND)]).toEqual([wanted, wanted]);
              }
            } finally {
              config.command = before;
            }
            expect(physical.read16(COMMAND)).toBe(before);
          });
        });
      }

      it("every_other_bit_goes_to_the_device", () => {
        withPhysical((physical) => {
          const { config } = device();
          const before = config.command;
          const real = physical.read16(COMMAND);
          const others = ~(MEMORY | BUS_MASTER | SYSTEM_ERROR | INTX_DISABLE);
          physical.write16(COMMAND, (real ^ others) & 0xffff);
          const kept = physical.read16(COMMAND) ^ real;
          physical.write16(COMMAND, real);
          if (kept === 0) skip({ reason: "the device keeps no other bit", remedy: "use QEMU's igb" });
          try {
            for (const bits of [kept, 0]) {
              config.command = before ^ bits;
              expect([config.command, physical.read16(COMMAND)]).toEqual([before ^ bits, real ^ bits]);
            }
          } finally {
            config.command = before;
          }
        });
      });

      it("intx_disable_without_intx_goes_to_the_device_too", () => {
        withPhysical((physical) => {
          const { config } = device();
          for (const on of [true, false]) {
            config.interruptDisable = on;
            // vfio_pci_intx_mask and _unmask: the device's bit follows the user's, where the device has it (PCI 2.3).
            expect([on, config.interruptDisable, (physical.read16(COMMAND) & INTX_DISABLE) !== 0]).toEqual([
              on,
              on,
              on,
            ]);
          }
        });
      });

      it("written_with_status_as_one_dword", () => {
        withPhysical((physical) => {
          const { config } = device();
          const before = config.command;
          const status = config.status;
          try {
            expect(write(COMMAND, bytesOf32(before | BUS_MASTER))).toBe(4);
            expect([config.command, physical.read16(COMMAND)]).toEqual([before | BUS_MASTER, before | BUS_MASTER]);
            expect(config.status).toBe(status);
          } finally {
            config.command = before;
          }
        });
      });

      it("restores_bars_that_were_lost_behind_vfio", () => {
        requireLab();
        withPhysical((physical) => {
          const { config } = device();
          const command = config.command;
          const registers = [...[0, 1, 2, 3, 4, 5].map((bar) => BAR_0 + 4 * bar), ROM_BAR];
          const bars = registers.map((offset) => physical.read32(offset));
          // This is the state after a reset that the kernel does not know of: no addresses, and no memory space.
          for (const offset of registers) physical.write32(offset, 0);
          physical.write16(COMMAND, 0);
          config.command = command | MEMORY;
          expect(registers.map((offset) => physical.read32(offset))).toEqual(bars);
          expect(physical.read16(COMMAND) & MEMORY).toBe(MEMORY);
          config.command = command;
        });
      });

      it("restores_any_bar_that_was_lost_alone", () => {
        requireLab();
        withPhysical((physical) => {
          const { config } = device();
          const command = config.command;
          const offsets = [0, 1, 2, 3, 4, 5].map((bar) => BAR_0 + 4 * bar);
          const bars = offsets.map((offset) => physical.read32(offset));
          const lost = offsets.filter((_, bar) => bars[bar] !== 0);
          for (const offset of lost) {
            // Nobody had memory space on: only the address tells (vfio_need_bar_restore).
            config.command = command & ~(MEMORY | IO);
            physical.write32(offset, 0);
            config.command = command | MEMORY;
            expect([offset, offsets.map((each) => physical.read32(each))]).toEqual([offset, bars]);
          }
          config.command = command;
          expect(lost).not.toEqual([]);
        });
      });
    });

    baseAddressTests({ address, device, withPhysical });

    describe("access", () => {
      it("every_width_shows_the_same", () => {
        const size = device().config.size;
        const all = seen(0, size);
        for (const width of [1, 2, 4]) {
          const parts = Array.from({ length: size / width }, (_, part) => seen(part * width, width));
          expect({ width, same: Buffer.concat(parts).equals(all) }).toEqual({ width, same: true });
        }
      });

      it("any_alignment_and_length_shows_the_same", () => {
        const all = seen(0, 256);
        const parts = Array.from({ length: 128 }, (_, offset) =>
          [2, 3, 4, 5, 8, 13].map((length) => ({ offset, length, bytes: seen(offset, length) })),
        ).flat();
        // One assertion for all 768, because each takes milliseconds on an emulated CPU.
        const others = parts.filter(
          ({ offset, length, bytes }) => !bytes.equals(all.subarray(offset, offset + length)),
        );
        expect(others).toEqual([]);
      });

      it("unaligned_write_reaches_each_register", () => {
        const { config } = device();
        const before = seen(BAR_0, 24);
        try {
          config.write32(BAR_0, 0);
          // The last byte of BAR 0, and what follows it: vfio_pci_config_rw_single cuts the write into aligned pieces.
          expect(write(BAR_0 + 3, Uint8Array.of(0xc3, before[4] ?? 0, before[5] ?? 0, before[6] ?? 0))).toBe(4);
          expect(config.read8(BAR_0 + 3)).toBe(0xc3);
          expect(seen(BAR_0 + 4, 20)).toEqual(before.subarray(4));
        } finally {
          write(BAR_0, before);
        }
        expect(seen(BAR_0, 24)).toEqual(before);
      });

      it("ends_with_configuration_space", () => {
        const { size } = device().config;
        const raw = new RawDevice(device());
        expect(raw.read(CONFIG, size - 1, 1).result).toBe(1);
        for (const [offset, length] of [
          [size, 1],
          [size, 4],
          [size - 2, 4],
          [size + 4096, 4],
        ] as const) {
          expect([offset, length, raw.read(CONFIG, offset, length).result]).toEqual([offset, length, "EFAULT"]);
          expect([offset, length, raw.write(CONFIG, offset, Buffer.alloc(length))]).toEqual([offset, length, "EFAULT"]);
        }
      });

      it("what_belongs_to_no_capability_is_the_devices", () => {
        withPhysical((physical) => {
          const { config } = device();
          // Behind the header, what no capability covers reaches the device unchanged (unassigned_perms).
          const owned = ownedBytes(config);
          const free = Array.from({ length: 256 - HEADER }, (_, at) => HEADER + at).filter((at) => !owned.has(at));
          expect(free.map((at) => config.read8(at))).toEqual(free.map((at) => physical.read8(at)));
        });
      });

      it("write_to_what_belongs_to_no_capability_goes_to_the_device", () => {
        if (target.kind !== "lab") {
          skip({
            reason: "the test writes what it does not know",
            remedy: "run it in the lab: vfio-selftests lab run",
          });
        }
        withPhysical((physical) => {
          const { config } = device();
          const owned = ownedBytes(config);
          const free = Array.from({ length: (256 - HEADER) / 4 }, (_, word) => HEADER + 4 * word);
          const place = free.find((at) => {
            if ([0, 1, 2, 3].some((byte) => owned.has(at + byte))) return false;
            const before = physical.read32(at);
            physical.write32(at, ~before);
            const kept = physical.read32(at) === ~before >>> 0;
            physical.write32(at, before);
            return kept;
          });
          if (place === undefined) skip({ reason: "no register keeps what is written", remedy: "use QEMU's igb" });
          const before = physical.read32(place);
          // vfio_raw_config_write, in each width.
          for (const value of [~before >>> 0, before]) {
            config.write32(place, value);
            expect([config.read32(place), physical.read32(place)]).toEqual([value, value]);
            config.write16(place + 2, ~(value >>> 16) & 0xffff);
            config.write8(place, ~value & 0xff);
            expect(physical.read32(place)).toBe((value ^ 0xffff_00ff) >>> 0);
          }
          physical.write32(place, before);
        });
      });

      it("capabilities_are_those_of_the_device", () => {
        withPhysical((physical) => {
          const ids = device()
            .config.capabilities()
            .capabilities.map(({ id, offset }) => ({ id, offset }));
          expect(ids).toEqual(standardCapabilities(physical).filter(({ id }) => SHOWN_CAPABILITIES.includes(id)));
          // Two empty lists are equal, too: the device itself says whether it has capabilities.
          expect(ids.length > 0).toBe((physical.read16(STATUS) & CAPABILITY_LIST) !== 0);
        });
      });
    });
  });
}

/** Offsets that a standard capability may cover: none is longer than 64 bytes. */
function ownedBytes(config: PciDevice["config"]): Set<number> {
  const { capabilities } = config.capabilities();
  return new Set(capabilities.flatMap(({ offset }) => Array.from({ length: 0x40 }, (_, at) => offset + at)));
}

function bytesOf32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

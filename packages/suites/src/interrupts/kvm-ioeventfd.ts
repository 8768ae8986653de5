import { Eventfd } from "@vfio-selftests/core";
import type { BareVm } from "../rigs/interrupts/kvm-irq/kvm";
import { withBareVm } from "../rigs/interrupts/kvm-irq/with-bare-vm";
import { outcome } from "../rigs/raw/ask-kernel";
import type { SuiteTarget } from "../suite-target";

/** linux/kvm.h, on a VM. */
const KVM_IOEVENTFD = 0x4040_ae79;
const IOEVENTFD = { datamatch: 1, port: 2, deassign: 4, unknown: 1 << 10 } as const;

/** linux/kvm_host.h */
const NR_IOBUS_DEVS = 1000;

const NO_DESCRIPTOR = 0x7fff_fff0;

/** Free addresses of the guest. */
const MMIO = 0x1000_0000;
const PORT = 0x510;

/** Eventfds that a guest's writes signal (virt/kvm/eventfd.c). */
export function kvmIoeventfdSuite(target: SuiteTarget): void {
  const withVm = (use: (vm: BareVm) => void): void => withBareVm(target, use);

  describe("kvm_ioeventfd", () => {
    interface Place {
      readonly address?: number | bigint;
      readonly length?: number;
      readonly flags?: number;
      readonly match?: number | bigint;
    }
    const ioeventfd = (vm: BareVm, fd: number, { address = MMIO, length = 4, flags = 0, match = 0 }: Place = {}) => {
      const argument = new DataView(new ArrayBuffer(64));
      argument.setBigUint64(0, BigInt(match), true);
      argument.setBigUint64(8, BigInt(address), true);
      argument.setUint32(16, length, true);
      argument.setInt32(20, fd, true);
      argument.setUint32(24, flags, true);
      return outcome(vm.request(KVM_IOEVENTFD, new Uint8Array(argument.buffer)));
    };
    const withEventfd = (use: (vm: BareVm, eventfd: Eventfd) => void): void => {
      withVm((vm) => {
        using eventfd = new Eventfd("ioeventfd");
        use(vm, eventfd);
      });
    };

    it("guests_write_signals", () => {
      withEventfd((vm, eventfd) => {
        expect(ioeventfd(vm, eventfd.fd)).toBe(0);
        vm.execute(storeDword(MMIO, 1));
        expect(eventfd.tryRead()).toBe(1n);
        vm.execute([...storeDword(MMIO, 1), ...storeDword(MMIO, 2)]);
        expect(eventfd.tryRead()).toBe(2n);
        // Without the eventfd, the guest's write exits to whoever runs the guest.
        expect(ioeventfd(vm, eventfd.fd, { flags: IOEVENTFD.deassign })).toBe(0);
        expect(() => {
          vm.execute(storeDword(MMIO, 1));
        }).toThrow(/exit reason/);
        expect(eventfd.tryRead()).toBeUndefined();
      });
    });

    it("address_and_width_must_be_the_same", () => {
      withEventfd((vm, eventfd) => {
        expect(ioeventfd(vm, eventfd.fd)).toBe(0);
        for (const write of [storeDword(MMIO + 4, 1), storeWord(MMIO, 1), storeByte(MMIO, 1)]) {
          expect(() => {
            vm.execute(write);
          }).toThrow(/exit reason/);
        }
        expect(eventfd.tryRead()).toBeUndefined();
      });
    });

    for (const [length, store] of [
      [1, storeByte],
      [2, storeWord],
      [4, storeDword],
    ] as const) {
      it(`value_of_${length}_bytes_must_match`, () => {
        withEventfd((vm, eventfd) => {
          using other = new Eventfd("another value");
          const place = { length, flags: IOEVENTFD.datamatch };
          expect(ioeventfd(vm, eventfd.fd, { ...place, match: 0x5a })).toBe(0);
          expect(ioeventfd(vm, other.fd, { ...place, match: 0x5b })).toBe(0);
          vm.execute(store(MMIO, 0x5b));
          expect([eventfd.tryRead(), other.tryRead()]).toEqual([undefined, 1n]);
          vm.execute(store(MMIO, 0x5a));
          expect([eventfd.tryRead(), other.tryRead()]).toEqual([1n, undefined]);
          expect(() => {
            vm.execute(store(MMIO, 0x5c));
          }).toThrow(/exit reason/);
        });
      });
    }

    it("value_of_8_bytes_must_match_in_both_halves", () => {
      withEventfd((vm, eventfd) => {
        using other = new Eventfd("another high half");
        const place = { length: 8, flags: IOEVENTFD.datamatch };
        expect(ioeventfd(vm, eventfd.fd, { ...place, match: 0x1_0000_005an })).toBe(0);
        expect(ioeventfd(vm, other.fd, { ...place, match: 0x2_0000_005an })).toBe(0);
        vm.execute(storeQword(MMIO, 0x5a, 2));
        expect([eventfd.tryRead(), other.tryRead()]).toEqual([undefined, 1n]);
        vm.execute(storeQword(MMIO, 0x5a, 1));
        expect([eventfd.tryRead(), other.tryRead()]).toEqual([1n, undefined]);
        for (const [low, high] of [
          [0x5a, 3],
          [0x5b, 1],
        ] as const) {
          expect(() => {
            vm.execute(storeQword(MMIO, low, high));
          }).toThrow(/exit reason/);
        }
      });
    });

    it("no_width_takes_every_write", () => {
      withEventfd((vm, eventfd) => {
        expect(ioeventfd(vm, eventfd.fd, { length: 0 })).toBe(0);
        vm.execute([...storeByte(MMIO, 1), ...storeWord(MMIO, 1), ...storeDword(MMIO, 1)]);
        expect(eventfd.tryRead()).toBe(3n);
        expect(ioeventfd(vm, eventfd.fd, { length: 0, flags: IOEVENTFD.deassign })).toBe(0);
        expect(ioeventfd(vm, eventfd.fd, { length: 0, flags: IOEVENTFD.deassign })).toBe("ENOENT");
        // It stood on two buses (KVM_FAST_MMIO_BUS), and has left both.
        for (const write of [storeByte(MMIO, 1), storeWord(MMIO, 1), storeDword(MMIO, 1)]) {
          expect(() => {
            vm.execute(write);
          }).toThrow(/exit reason/);
        }
        expect(eventfd.tryRead()).toBeUndefined();
        expect(ioeventfd(vm, eventfd.fd, { length: 0 })).toBe(0);
      });
    });

    it("port_is_no_memory", () => {
      withEventfd((vm, eventfd) => {
        expect(ioeventfd(vm, eventfd.fd, { address: PORT, length: 1, flags: IOEVENTFD.port })).toBe(0);
        expect(ioeventfd(vm, eventfd.fd, { address: PORT, length: 1, flags: IOEVENTFD.deassign })).toBe("ENOENT");
        // mov dx, PORT; out dx, al
        vm.execute([0x66, 0xba, PORT & 0xff, PORT >> 8, 0xee]);
        expect(eventfd.tryRead()).toBe(1n);
        const flags = IOEVENTFD.port | IOEVENTFD.deassign;
        expect(ioeventfd(vm, eventfd.fd, { address: PORT, length: 1, flags })).toBe(0);
      });
    });

    it("same_place_twice_is_refused", () => {
      withEventfd((vm, eventfd) => {
        using other = new Eventfd("other");
        expect(ioeventfd(vm, eventfd.fd)).toBe(0);
        expect(ioeventfd(vm, other.fd)).toBe("EEXIST");
        // A value beside any value, and any width beside one, are the same place, too (ioeventfd_check_collision).
        expect(ioeventfd(vm, other.fd, { flags: IOEVENTFD.datamatch, match: 7 })).toBe("EEXIST");
        expect(ioeventfd(vm, other.fd, { length: 0 })).toBe("EEXIST");
        // Another width, another address and the ports are not.
        expect(ioeventfd(vm, other.fd, { length: 2 })).toBe(0);
        expect(ioeventfd(vm, other.fd, { address: MMIO + 4 })).toBe(0);
        expect(ioeventfd(vm, other.fd, { address: PORT, flags: IOEVENTFD.port })).toBe(0);
      });
    });

    const collisions: Readonly<Record<string, readonly [there: Place, next: Place, answer: 0 | "EEXIST"]>> = {
      any_width_is_there: [{ length: 0 }, {}, "EEXIST"],
      any_width_twice: [{ length: 0 }, { length: 0 }, "EEXIST"],
      a_value_is_there: [{ flags: IOEVENTFD.datamatch, match: 7 }, {}, "EEXIST"],
      the_same_value_is_there: [
        { flags: IOEVENTFD.datamatch, match: 7 },
        { flags: IOEVENTFD.datamatch, match: 7 },
        "EEXIST",
      ],
      another_value_is_there: [{ flags: IOEVENTFD.datamatch, match: 7 }, { flags: IOEVENTFD.datamatch, match: 8 }, 0],
      // Only memory has a bus for writes of any width (KVM_FAST_MMIO_BUS).
      any_width_of_a_port_is_there: [
        { address: PORT, length: 0, flags: IOEVENTFD.port },
        { address: PORT, length: 0 },
        0,
      ],
    };
    for (const [name, [there, next, answer]] of Object.entries(collisions)) {
      it(`${answer === 0 ? "is_taken" : "is_refused"}_where_${name}`, () => {
        withEventfd((vm, eventfd) => {
          using other = new Eventfd("other");
          expect([ioeventfd(vm, eventfd.fd, there), ioeventfd(vm, other.fd, next)]).toEqual([0, answer]);
        });
      });
    }

    it("there_can_be_more_than_devices_on_a_bus", () => {
      withEventfd((vm, eventfd) => {
        // NR_IOBUS_DEVS limits devices, not ioeventfds (kvm_io_bus_register_dev).
        const answers = Array.from({ length: NR_IOBUS_DEVS + 1 }, (_, number) =>
          ioeventfd(vm, eventfd.fd, { address: MMIO + 4 * number }),
        );
        expect(new Set(answers)).toEqual(new Set([0]));
        vm.execute(storeDword(MMIO + 4 * NR_IOBUS_DEVS, 1));
        expect(eventfd.tryRead()).toBe(1n);
      });
    });

    it("only_the_very_same_is_taken_away", () => {
      withEventfd((vm, eventfd) => {
        using other = new Eventfd("other");
        const place = { flags: IOEVENTFD.datamatch, match: 7 };
        expect(ioeventfd(vm, eventfd.fd, place)).toBe(0);
        const flags = IOEVENTFD.datamatch | IOEVENTFD.deassign;
        expect(ioeventfd(vm, other.fd, { flags, match: 7 })).toBe("ENOENT");
        expect(ioeventfd(vm, eventfd.fd, { flags, match: 8 })).toBe("ENOENT");
        expect(ioeventfd(vm, eventfd.fd, { flags, match: 7, length: 2 })).toBe("ENOENT");
        expect(ioeventfd(vm, eventfd.fd, { flags, match: 7, address: MMIO + 4 })).toBe("ENOENT");
        expect(ioeventfd(vm, eventfd.fd, { flags: IOEVENTFD.deassign, match: 7 })).toBe("ENOENT");
        vm.execute(storeDword(MMIO, 7));
        expect(eventfd.tryRead()).toBe(1n);
        expect(ioeventfd(vm, eventfd.fd, { flags, match: 7 })).toBe(0);
      });
    });

    it("malformed_is_refused", () => {
      withEventfd((vm, eventfd) => {
        for (const length of [3, 5, 7, 9, 16])
          expect([length, ioeventfd(vm, eventfd.fd, { length })]).toEqual([length, "EINVAL"]);
        expect(ioeventfd(vm, eventfd.fd, { address: 2n ** 64n - 2n })).toBe("EINVAL");
        expect(ioeventfd(vm, eventfd.fd, { flags: IOEVENTFD.unknown })).toBe("EINVAL");
        expect(ioeventfd(vm, eventfd.fd, { length: 0, flags: IOEVENTFD.datamatch })).toBe("EINVAL");
        expect(ioeventfd(vm, NO_DESCRIPTOR)).toBe("EBADF");
        expect(ioeventfd(vm, 0)).toBe("EINVAL");
        expect(ioeventfd(vm, NO_DESCRIPTOR, { flags: IOEVENTFD.deassign })).toBe("EBADF");
        expect(ioeventfd(vm, eventfd.fd)).toBe(0);
      });
    });
  });
}

/** mov dword [address], value */
function storeDword(address: number, value: number): number[] {
  return [0xc7, 0x05, ...dword(address), ...dword(value)];
}

/** mov eax, low; movd mm0, eax; mov eax, high; movd mm1, eax; punpckldq mm0, mm1; movq [address], mm0 */
function storeQword(address: number, low: number, high: number): number[] {
  const moves = [0xb8, ...dword(low), 0x0f, 0x6e, 0xc0, 0xb8, ...dword(high), 0x0f, 0x6e, 0xc8];
  return [...moves, 0x0f, 0x62, 0xc1, 0x0f, 0x7f, 0x05, ...dword(address)];
}

/** mov word [address], value */
function storeWord(address: number, value: number): number[] {
  return [0x66, 0xc7, 0x05, ...dword(address), ...dword(value).slice(0, 2)];
}

/** mov byte [address], value */
function storeByte(address: number, value: number): number[] {
  return [0xc6, 0x05, ...dword(address), value & 0xff];
}

function dword(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

import { Eventfd, Iommu, PciDevice } from "@vfio-selftests/core";
import { assertNoInterrupt, eachMode, fixture, skip } from "@vfio-selftests/harness";
import { deviceFileOf, KernelDevice } from "@vfio-selftests/iommu-modes";
import { FirstPic } from "../rigs/kvm-irq/first-pic";
import type { BareVm } from "../rigs/kvm-irq/kvm";
import { FILE_ADD, FILE_DEL, VFIO_FILE, VfioBridge } from "../rigs/kvm-irq/vfio-bridge";
import { outcome } from "../rigs/raw-device";
import type { SuiteTarget } from "../suite-target";

/** Requests of linux/kvm.h on a VM. */
const KVM_IRQFD = 0x4020_ae76;
const KVM_IOEVENTFD = 0x4040_ae79;

const IRQFD = { deassign: 1, resample: 2, unknown: 4 } as const;
const IOEVENTFD = { datamatch: 1, port: 2, deassign: 4, unknown: 1 << 10 } as const;

/** A line of the first PIC, which the kernel routes by itself. */
const LINE = 5;
const NO_DESCRIPTOR = 0x7fff_fff0;
const QUIET_MS = 30;

/** Free addresses of the guest. */
const MMIO = 0x1000_0000;
const PORT = 0x510;

/** KVM's eventfds (virt/kvm/eventfd.c) and its bridge to VFIO (virt/kvm/vfio.c), beyond kvm_irq_test's plain deliveries. */
export function kvmEventfdsSuite(target: SuiteTarget): void {
  const withVm = (use: (vm: BareVm) => void): void => {
    const { kvm } = target;
    if (kvm?.openVm === undefined) {
      skip({
        reason: "the target has no KVM",
        remedy: 'add `kvm` to the target: import { kvm } from "@vfio-selftests/kvm"',
      });
    }
    if (process.arch !== "x64") skip({ reason: "the guest is for x86_64", remedy: "run on an x86_64 machine" });
    const availability = kvm.availability();
    if (!availability.available) skip(availability);
    using vm = kvm.openVm();
    use(vm);
  };

  describe("kvm_irqfd", () => {
    const irqfd = (vm: BareVm, fd: number, { flags = 0, gsi = LINE, resample = -1 } = {}) => {
      const argument = Int32Array.of(fd, gsi, flags, resample, 0, 0, 0, 0);
      return outcome(vm.request(KVM_IRQFD, new Uint8Array(argument.buffer)));
    };

    it("signal_raises_the_line", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        const pic = new FirstPic(vm);
        expect(irqfd(vm, eventfd.fd)).toBe(0);
        expect(pic.requested).toBe(0);
        eventfd.signal();
        pic.waitForRequest(LINE);
        // KVM took the count, and nobody else gets it.
        expect(eventfd.tryRead()).toBeUndefined();
      });
    });

    it("signalled_before_counts", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        eventfd.signal();
        expect(irqfd(vm, eventfd.fd)).toBe(0);
        new FirstPic(vm).waitForRequest(LINE);
      });
    });

    it("deassigned_raises_no_more", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        const pic = new FirstPic(vm);
        expect(irqfd(vm, eventfd.fd)).toBe(0);
        // Of another line: it stays.
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.deassign, gsi: LINE + 1 })).toBe(0);
        eventfd.signal();
        pic.waitForRequest(LINE);
        pic.clear();
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.deassign })).toBe(0);
        eventfd.signal();
        assertQuiet(pic);
        expect(eventfd.tryRead()).toBe(1n);
        // It is free for another line.
        expect(irqfd(vm, eventfd.fd, { gsi: LINE + 1 })).toBe(0);
        eventfd.signal();
        pic.waitForRequest(LINE + 1);
      });
    });

    it("one_line_for_one_eventfd", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        expect(irqfd(vm, eventfd.fd)).toBe(0);
        expect(irqfd(vm, eventfd.fd)).toBe("EBUSY");
        expect(irqfd(vm, eventfd.fd, { gsi: LINE + 1 })).toBe("EBUSY");
        const pic = new FirstPic(vm);
        eventfd.signal();
        pic.waitForRequest(LINE);
        expect(pic.requested).toBe(1 << LINE);
      });
    });

    it("closed_eventfd_makes_room", () => {
      withVm((vm) => {
        const first = new Eventfd("first");
        expect(irqfd(vm, first.fd)).toBe(0);
        first.close();
        using second = new Eventfd("second");
        expect(irqfd(vm, second.fd)).toBe(0);
        second.signal();
        new FirstPic(vm).waitForRequest(LINE);
      });
    });

    it("ends_with_the_vm", () => {
      using eventfd = new Eventfd("irqfd");
      withVm((vm) => {
        expect(irqfd(vm, eventfd.fd)).toBe(0);
      });
      eventfd.signal();
      expect(eventfd.tryRead()).toBe(1n);
      withVm((vm) => {
        expect(irqfd(vm, eventfd.fd)).toBe(0);
      });
    });

    it("malformed_is_refused", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.unknown })).toBe("EINVAL");
        expect(irqfd(vm, NO_DESCRIPTOR)).toBe("EBADF");
        expect(irqfd(vm, 0)).toBe("EINVAL");
        expect(irqfd(vm, NO_DESCRIPTOR, { flags: IRQFD.deassign })).toBe("EBADF");
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.resample, resample: NO_DESCRIPTOR })).toBe("EBADF");
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.resample, resample: 0 })).toBe("EINVAL");
        // None of them left the eventfd taken.
        expect(irqfd(vm, eventfd.fd)).toBe(0);
      });
    });

    it("resampled_line_stays_until_the_guest_ends_it", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        using resampled = new Eventfd("resampled");
        using other = new Eventfd("another irqfd");
        using otherResampled = new Eventfd("resampled, too");
        const pic = new FirstPic(vm);
        pic.makeLevel(LINE);
        const flags = IRQFD.resample;
        expect(irqfd(vm, eventfd.fd, { flags, resample: resampled.fd })).toBe(0);
        expect(irqfd(vm, other.fd, { flags, resample: otherResampled.fd })).toBe(0);
        eventfd.signal();
        pic.waitForRequest(LINE);
        assertNoInterrupt(resampled, { withinMs: QUIET_MS });
        expect(pic.requested).toBe(1 << LINE);
        // As if the CPU had taken it; the guest then ends it: mov al, 0x20; out 0x20, al.
        pic.serve(LINE);
        vm.execute([0xb0, 0x20, 0xe6, 0x20]);
        // irqfd_resampler_ack: the line falls, and everybody on it is told.
        expect([resampled.tryRead(), otherResampled.tryRead()]).toEqual([1n, 1n]);
        expect(pic.requested).toBe(0);
        // One is taken away: the other is told alone.
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.deassign })).toBe(0);
        other.signal();
        pic.waitForRequest(LINE);
        pic.serve(LINE);
        vm.execute([0xb0, 0x20, 0xe6, 0x20]);
        expect([resampled.tryRead(), otherResampled.tryRead()]).toEqual([undefined, 1n]);
      });
    });

    it("resampled_line_falls_when_its_last_is_taken_away", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        using resampled = new Eventfd("resampled");
        const pic = new FirstPic(vm);
        pic.makeLevel(LINE);
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.resample, resample: resampled.fd })).toBe(0);
        eventfd.signal();
        pic.waitForRequest(LINE);
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.deassign })).toBe(0);
        expect(pic.requested).toBe(0);
      });
    });
  });

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
        // Taken away, the guest's write comes out to whoever runs it.
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

    it("no_width_takes_every_write", () => {
      withEventfd((vm, eventfd) => {
        expect(ioeventfd(vm, eventfd.fd, { length: 0 })).toBe(0);
        vm.execute([...storeByte(MMIO, 1), ...storeWord(MMIO, 1), ...storeDword(MMIO, 1)]);
        expect(eventfd.tryRead()).toBe(3n);
        expect(ioeventfd(vm, eventfd.fd, { length: 0, flags: IOEVENTFD.deassign })).toBe(0);
        expect(ioeventfd(vm, eventfd.fd, { length: 0, flags: IOEVENTFD.deassign })).toBe("ENOENT");
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
        // A value beside the wildcard, and no width beside one, are the same place, too (ioeventfd_check_collision).
        expect(ioeventfd(vm, other.fd, { flags: IOEVENTFD.datamatch, match: 7 })).toBe("EEXIST");
        expect(ioeventfd(vm, other.fd, { length: 0 })).toBe("EEXIST");
        // Another width, another address and the ports are not.
        expect(ioeventfd(vm, other.fd, { length: 2 })).toBe(0);
        expect(ioeventfd(vm, other.fd, { address: MMIO + 4 })).toBe(0);
        expect(ioeventfd(vm, other.fd, { address: PORT, flags: IOEVENTFD.port })).toBe(0);
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

  fixture("kvm_vfio", target, (address) => {
    eachMode(target, (mode) => {
      const withBridge = (use: (bridge: VfioBridge, file: number, device: PciDevice) => void): void => {
        withVm((vm) => {
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          using bridge = new VfioBridge(vm);
          const { vfio } = device;
          // In modes on containers the bridge takes the group's file, else the device's.
          const group = vfio instanceof KernelDevice ? vfio.group : undefined;
          use(bridge, (group ?? deviceFileOf(vfio)).descriptor("KVM_DEV_VFIO_FILE_ADD"), device);
        });
      };

      it("takes_a_file_once_and_lets_it_go", () => {
        withBridge((bridge, file) => {
          expect(bridge.set(FILE_DEL, file)).toBe("ENOENT");
          expect(bridge.set(FILE_ADD, file)).toBe(0);
          expect(bridge.set(FILE_ADD, file)).toBe("EEXIST");
          expect(bridge.set(FILE_DEL, file)).toBe(0);
          expect(bridge.set(FILE_DEL, file)).toBe("ENOENT");
          expect(bridge.set(FILE_ADD, file)).toBe(0);
        });
      });

      it("takes_files_of_vfio_only", () => {
        withBridge((bridge) => {
          using eventfd = new Eventfd("no file of VFIO");
          expect(bridge.set(FILE_ADD, eventfd.fd)).toBe("EINVAL");
          expect(bridge.set(FILE_ADD, NO_DESCRIPTOR)).toBe("EBADF");
          expect(bridge.set(FILE_DEL, NO_DESCRIPTOR)).toBe("EBADF");
          expect(bridge.set(FILE_DEL, eventfd.fd)).toBe("ENOENT");
        });
      });

      it("device_works_on_while_the_vm_holds_it", () => {
        withBridge((bridge, file, device) => {
          expect(bridge.set(FILE_ADD, file)).toBe(0);
          const kind = device.interrupts.exclusiveInUse() ?? device.interrupts.msix;
          if (kind.count === 0) skip({ reason: "the device has no MSI-X", remedy: "use a device with MSI-X" });
          kind.enable(0, 1);
          kind.trigger(0);
          expect(kind.vector(0).tryRead()).toBe(1n);
          expect(device.config.vendorId).not.toBe(0xffff);
        });
      });
    });

    describe("bridge", () => {
      it("is_one_in_a_vm_and_has_its_attributes", () => {
        withVm((vm) => {
          using bridge = new VfioBridge(vm);
          expect(VfioBridge.attempt(vm)).toBe("EBUSY");
          expect([bridge.has(VFIO_FILE, FILE_ADD), bridge.has(VFIO_FILE, FILE_DEL)]).toEqual([0, 0]);
          expect(bridge.has(VFIO_FILE, 99)).toBe("ENXIO");
          expect(bridge.has(VFIO_FILE + 1, FILE_ADD)).toBe("ENXIO");
          expect(bridge.set(99, 0)).toBe("ENXIO");
          expect(bridge.set(FILE_ADD, 0, VFIO_FILE + 1)).toBe("ENXIO");
        });
      });
    });
  });
}

/** mov dword [address], value */
function storeDword(address: number, value: number): number[] {
  return [0xc7, 0x05, ...dword(address), ...dword(value)];
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

function assertQuiet(pic: FirstPic): void {
  const end = performance.now() + QUIET_MS;
  do expect(pic.requested).toBe(0);
  while (performance.now() < end);
}

import { Eventfd, type InterruptIndex, Iommu, PciDevice } from "@vfio-selftests/core";
import {
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
  VFIO_DEVICE_FEATURE_SET,
  VFIO_DEVICE_IOEVENTFD_32,
  vfio_device_low_power_entry_with_wakeup,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, requireMode, skip } from "@vfio-selftests/harness";
import { scratchRegistersOf } from "../devices/scratch-registers";
import { EventfdHold } from "../rigs/interrupts/eventfd-hold";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

const GIVE = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
const GIVE_UNMASK = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK;
const DISABLE = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
const ENTRY = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY | VFIO_DEVICE_FEATURE_SET;
const WAKEUP = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP | VFIO_DEVICE_FEATURE_SET;
const EXIT = VFIO_DEVICE_FEATURE_LOW_POWER_EXIT | VFIO_DEVICE_FEATURE_SET;

type Kind = "intx" | "msi" | "msix" | "err" | "req";

/** A way to lend the device's driver an eventfd, and to take it back. Each returns the kernel's answer. */
interface Use {
  readonly give: (device: PciDevice, raw: RawDevice, fd: number) => number | string;
  readonly take: (device: PciDevice, raw: RawDevice) => number | string;
  /** Whether the driver holds the eventfd itself when its last descriptor is closed. */
  readonly outlivesItsDescriptor: boolean;
  /** Whether another one may be given while it is there. */
  readonly replaceable: boolean;
}

/** By one eventfd for the first interrupt of its kind; `takeBy`: a request in place of the one that disables them. */
function interrupt(kind: Kind, takeBy?: "descriptor -1"): Use {
  return {
    give: (device, raw, fd) =>
      raw.setIrqs({ flags: GIVE, index: offered(device, kind).index, data: Int32Array.of(fd) }),
    take: (device, raw) => {
      const { index } = device.interrupts[kind];
      return takeBy === undefined
        ? raw.setIrqs({ flags: DISABLE, index, count: 0 })
        : raw.setIrqs({ flags: GIVE, index, data: Int32Array.of(-1) });
    },
    outlivesItsDescriptor: true,
    // The other way to take it back shows nothing else of this.
    replaceable: takeBy === undefined,
  };
}

const USES: Readonly<Record<string, Use>> = {
  intx: interrupt("intx"),
  intx_taken_by_descriptor_minus_1: interrupt("intx", "descriptor -1"),
  msi: interrupt("msi"),
  msix: interrupt("msix"),
  msix_taken_by_descriptor_minus_1: interrupt("msix", "descriptor -1"),
  err: interrupt("err"),
  req: interrupt("req"),
  req_taken_by_descriptor_minus_1: interrupt("req", "descriptor -1"),
  unmask: {
    give: (device, raw, fd) => {
      const { index } = offered(device, "intx");
      const enabled = raw.setIrqs({ flags: GIVE, index, data: Int32Array.of(-1) });
      return enabled === 0 ? raw.setIrqs({ flags: GIVE_UNMASK, index, data: Int32Array.of(fd) }) : enabled;
    },
    take: (device, raw) =>
      raw.setIrqs({ flags: GIVE_UNMASK, index: device.interrupts.intx.index, data: Int32Array.of(-1) }),
    // virqfd_wakeup hears of the last descriptor's end.
    outlivesItsDescriptor: false,
    replaceable: false,
  },
  ioeventfd: {
    give: (device, raw, fd) => raw.ioeventfd(writeBy(device, raw, fd)),
    take: (device, raw) => raw.ioeventfd(writeBy(device, raw, -1)),
    outlivesItsDescriptor: false,
    replaceable: false,
  },
  wake_up: {
    give: (_, raw, fd) => raw.feature(WAKEUP, wakeUpBy(fd)),
    take: (_, raw) => raw.feature(EXIT),
    outlivesItsDescriptor: true,
    replaceable: false,
  },
};

/** Eventfds that vfio-pci was lent: it holds them as long as it may signal them or wait for them, and no longer. */
export function eventfdHoldsSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_eventfd_holds", target, (address) => {
    requireMode(mode);

    const withDevice = (use: (device: PciDevice, raw: RawDevice) => void): void => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      use(device, new RawDevice(device));
    };
    /** Lends a new eventfd, of which the caller has no descriptor afterwards. */
    const lend = (use: Use, device: PciDevice, raw: RawDevice): EventfdHold => {
      using eventfd = new Eventfd("lent");
      expect(use.give(device, raw, eventfd.fd)).toBe(0);
      return new EventfdHold(eventfd);
    };

    for (const [name, use] of Object.entries(USES)) {
      describe(name, () => {
        it("until_it_is_taken_away", () => {
          withDevice((device, raw) => {
            const hold = lend(use, device, raw);
            if (use.outlivesItsDescriptor) expect(hold.held).toBe(true);
            expect(use.take(device, raw)).toBe(0);
            hold.waitUntilLetGo();
            expect(hold.held).toBe(false);
          });
        });

        if (use.replaceable) {
          it("until_another_takes_its_place", () => {
            withDevice((device, raw) => {
              const hold = lend(use, device, raw);
              const next = lend(use, device, raw);
              hold.waitUntilLetGo();
              expect([hold.held, next.held]).toEqual([false, true]);
            });
          });
        }

        it("until_the_device_is_closed", () => {
          // It is open while the device is closed, so that its end does not tell the driver.
          const eventfd = new Eventfd("still open");
          withDevice((device, raw) => {
            expect(use.give(device, raw, eventfd.fd)).toBe(0);
          });
          expectLetGo(eventfd);
        });
      });
    }

    describe("refused", () => {
      it("second_unmask_eventfd", () => {
        withDevice((device, raw) => {
          const { index } = offered(device, "intx");
          using first = new Eventfd("first");
          const second = new Eventfd("second");
          const unmaskBy = ({ fd }: Eventfd) => raw.setIrqs({ flags: GIVE_UNMASK, index, data: Int32Array.of(fd) });
          expect(raw.setIrqs({ flags: GIVE, index, data: Int32Array.of(-1) })).toBe(0);
          expect([unmaskBy(first), unmaskBy(second)]).toEqual([0, "EBUSY"]);
          expectLetGo(second);
        });
      });

      it("wake_up_eventfd_in_low_power", () => {
        withDevice((_, raw) => {
          const eventfd = new Eventfd("wake-up");
          expect(raw.feature(ENTRY)).toBe(0);
          expect(raw.feature(WAKEUP, wakeUpBy(eventfd.fd))).toBe("EINVAL");
          expectLetGo(eventfd);
          expect(raw.feature(EXIT)).toBe(0);
        });
      });

      it("intx_eventfd_beside_msix", () => {
        withDevice((device, raw) => {
          const { index } = offered(device, "msix");
          const intx = offered(device, "intx").index;
          using vector = new Eventfd("vector 0");
          const eventfd = new Eventfd("INTx");
          expect(raw.setIrqs({ flags: GIVE, index, data: Int32Array.of(vector.fd) })).toBe(0);
          expect(raw.setIrqs({ flags: GIVE, index: intx, data: Int32Array.of(eventfd.fd) })).toBe("EINVAL");
          expectLetGo(eventfd);
        });
      });

      it("block_of_vectors_with_a_bad_one", () => {
        withDevice((device, raw) => {
          const { index, count } = offered(device, "msix");
          if (count < 2) skip({ reason: "the device has one MSI-X vector", remedy: "use a device with two" });
          const eventfd = new Eventfd("vector 0");
          expect(raw.setIrqs({ flags: GIVE, index, count: 2, data: Int32Array.of(eventfd.fd, 0) })).toBe("EINVAL");
          expectLetGo(eventfd);
        });
      });
    });
  });
}

/** Closes an eventfd that the kernel refused to take, or has no use for any more. */
function expectLetGo(eventfd: Eventfd): void {
  const hold = new EventfdHold(eventfd);
  eventfd.close();
  hold.waitUntilLetGo();
  expect(hold.held).toBe(false);
}

function writeBy(device: PciDevice, raw: RawDevice, fd: number): Parameters<RawDevice["ioeventfd"]>[0] {
  const { bar, offset } = scratchRegistersOf(device);
  return { flags: VFIO_DEVICE_IOEVENTFD_32, offset: raw.positionOf(bar, offset), data: 0n, fd };
}

function wakeUpBy(fd: number): Uint8Array {
  const view = vfio_device_low_power_entry_with_wakeup.allocate();
  vfio_device_low_power_entry_with_wakeup.fields.wakeup_eventfd.set(view, fd);
  return view.bytes;
}

function offered(device: PciDevice, kind: Kind): InterruptIndex {
  const interrupts = device.interrupts[kind];
  if (interrupts.count > 0) return interrupts;
  skip({ reason: `the device has no ${interrupts.name}`, remedy: `use a device that offers ${interrupts.name}` });
}

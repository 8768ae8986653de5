import { Eventfd, Iommu, PciDevice } from "@vfio-selftests/core";
import { listDirectory, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  VFIO_PCI_INTX_IRQ_INDEX,
} from "@vfio-selftests/core/uapi";
import { assertNoInterrupt, defaultMode, fixture, requireMode, skip } from "@vfio-selftests/harness";
import { type InterruptSource, intxSourceOf } from "../devices/interrupt-sources";
import { BoundWithParameter } from "../rigs/bound-with-parameter";
import { PhysicalConfig } from "../rigs/physical-config";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

const NONE = VFIO_IRQ_SET_DATA_NONE;
const EVENTFD = VFIO_IRQ_SET_DATA_EVENTFD;
const MASK = VFIO_IRQ_SET_ACTION_MASK;
const UNMASK = VFIO_IRQ_SET_ACTION_UNMASK;
const TRIGGER = VFIO_IRQ_SET_ACTION_TRIGGER;

/** Long enough to see an interrupt that must not come. */
const QUIET_MS = 50;
const COMMAND = 4;
const INTX_DISABLE = 1 << 10;

/**
 * INTx of devices before PCI 2.3, which have no bit to mask it: vfio-pci masks the line at the interrupt controller. Its
 * parameter `nointxmask` makes it treat every device so that it binds from then on.
 */
export function intxWithoutMaskBitSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_intx_without_mask_bit", target, (address) => {
    requireMode(mode);

    const withLine = (use: (line: Line) => void): void => {
      using _bound = new BoundWithParameter(target, address, "nointxmask");
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      using line = new Line(device);
      use(line);
    };

    it("debugfs_tells_the_parameter_of_the_time_of_binding", () => {
      withLine(() => {
        const [name = ""] = listDirectory(systemPaths.pciDevice(address, "vfio-dev"));
        const shown = readAttribute(systemPaths.sys("kernel", "debug", "vfio", name, "pci", "nointxmask"))?.trim();
        if (shown === undefined) {
          skip({ reason: "debugfs shows no VFIO device", remedy: "mount debugfs; CONFIG_VFIO_DEBUGFS" });
        }
        // The parameter itself is off again (BoundWithParameter).
        expect(shown).toBe("Y");
      });
    });

    it("arrival_masks_the_line_until_it_is_unmasked", () => {
      withLine((line) => {
        line.source.raise();
        expect(line.eventfd.waitSync()).toBe(1n);
        // The device still asserts the line, and its own bit stays as it was.
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        expect(line.deviceBit).toBe(false);
        for (let round = 0; round < 2; round++) {
          expect(line.set(NONE | UNMASK)).toBe(0);
          expect(line.eventfd.waitSync()).toBe(1n);
        }
        line.source.acknowledge();
        expect(line.set(NONE | UNMASK)).toBe(0);
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        line.source.raise();
        expect(line.eventfd.waitSync()).toBe(1n);
      });
    });

    it("mask_holds_the_interrupt_back", () => {
      withLine((line) => {
        expect([line.set(NONE | MASK), line.set(NONE | MASK)]).toEqual([0, 0]);
        line.source.raise();
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        expect(line.set(NONE | TRIGGER)).toBe(0);
        expect(line.eventfd.tryRead()).toBe(1n);
        // Masked twice, unmasked once.
        expect(line.set(NONE | UNMASK)).toBe(0);
        expect(line.eventfd.waitSync()).toBe(1n);
      });
    });

    it("disable_bit_holds_the_interrupt_back", () => {
      withLine((line) => {
        line.device.config.interruptDisable = true;
        expect([line.device.config.interruptDisable, line.deviceBit]).toEqual([true, false]);
        line.source.raise();
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        expect(line.set(NONE | UNMASK)).toBe(0);
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        line.device.config.interruptDisable = false;
        expect(line.eventfd.waitSync()).toBe(1n);
      });
    });

    it("disable_bit_set_before_enabling_holds_the_interrupt_back", () => {
      withLine((line) => {
        expect(line.set(NONE | TRIGGER, { count: 0 })).toBe(0);
        line.device.config.interruptDisable = true;
        expect(line.enable()).toBe(0);
        line.source.raise();
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        line.device.config.interruptDisable = false;
        expect(line.eventfd.waitSync()).toBe(1n);
      });
    });

    it("unmask_eventfd_unmasks", () => {
      withLine((line) => {
        using unmask = new Eventfd("unmask");
        expect(line.set(EVENTFD | UNMASK, { data: Int32Array.of(unmask.fd) })).toBe(0);
        line.source.raise();
        expect(line.eventfd.waitSync()).toBe(1n);
        unmask.signal();
        expect(line.eventfd.waitSync()).toBe(1n);
        line.source.acknowledge();
        unmask.signal();
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
      });
    });

    it("enabled_anew_it_is_unmasked", () => {
      withLine((line) => {
        for (let round = 0; round < 2; round++) {
          line.source.raise();
          expect(line.eventfd.waitSync()).toBe(1n);
          line.source.acknowledge();
          expect(line.set(NONE | TRIGGER, { count: 0 })).toBe(0);
          expect(line.enable()).toBe(0);
        }
      });
    });
  });
}

/** INTx, enabled on one eventfd, of a device that is ready to raise it. */
class Line implements Disposable {
  readonly eventfd = new Eventfd("INTx");
  readonly device: PciDevice;
  readonly source: InterruptSource;
  readonly #raw: RawDevice;
  readonly #physical: PhysicalConfig;

  /** Skips the test where no way is known to make the device raise INTx, or it has its line not for itself. */
  constructor(device: PciDevice) {
    const source = intxSourceOf(device);
    if (device.interrupts.intx.count === 0 || source === undefined) {
      this.eventfd.close();
      skip({
        reason: `no way is known to make ${device.address} assert INTx`,
        remedy: "use a device with a known way: vfio-selftests lab run --device igb",
      });
    }
    this.device = device;
    this.source = source;
    this.#raw = new RawDevice(device);
    this.#physical = new PhysicalConfig(device.address);
    const enabled = this.enable();
    if (enabled === "EBUSY") {
      this[Symbol.dispose]();
      skip({ reason: "another device has the same interrupt line", remedy: "vfio-selftests lab run --device igb" });
    }
    expect(enabled).toBe(0);
    source.prepare();
  }

  enable(): number | string {
    return this.set(EVENTFD | TRIGGER, { data: Int32Array.of(this.eventfd.fd) });
  }

  /** VFIO_DEVICE_SET_IRQS on the line. Returns the kernel's result or the name of the errno. */
  set(flags: number, request: { count?: number; data?: Int32Array } = {}): number | string {
    return this.#raw.setIrqs({ flags, index: VFIO_PCI_INTX_IRQ_INDEX, ...request });
  }

  /** Whether the device's own bit forbids it to assert the line. */
  get deviceBit(): boolean {
    return (this.#physical.read16(COMMAND) & INTX_DISABLE) !== 0;
  }

  [Symbol.dispose](): void {
    this.source.acknowledge();
    this.#physical[Symbol.dispose]();
    this.eventfd.close();
  }
}

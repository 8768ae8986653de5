import { type InterruptIndex, Iommu, PciDevice } from "@vfio-selftests/core";
import {
  assertNoInterrupt,
  defaultMode,
  errorWithCode,
  fixture,
  notChecked,
  requireMode,
  skip,
} from "@vfio-selftests/harness";
import { intxSourceOf } from "../devices/interrupt-sources";
import { requireIntxSource } from "../rigs/interrupts/intx-line";
import type { SuiteTarget } from "../suite-target";

/** Long enough to see an interrupt that must not come. */
const QUIET_MS = 50;

/** Interrupts beyond upstream's enable, trigger and disable of MSI and MSI-X. */
export function pciInterruptsSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_intx", target, (address) => {
    requireMode(mode);

    it("enable_trigger_disable", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      const intx = offered(device.interrupts.intx);
      expect(intx.info.maskable).toBe(true);
      expect(intx.info.autoMasked).toBe(true);
      intx.enable();
      assertNoInterrupt(intx.vector(0));
      intx.trigger(0);
      expect(intx.vector(0).tryRead()).toBe(1n);
      intx.disable();
      expectDisabled(device, intx);
    });

    it("mask_and_unmask", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      const intx = offered(device.interrupts.intx);
      const source = intxSourceOf(device);
      intx.enable();
      if (source === undefined) {
        notChecked("that the mask holds an interrupt back", `no way is known to make ${address} assert INTx`);
        intx.mask();
        intx.unmask();
      } else {
        source.prepare();
        intx.mask();
        source.raise();
        assertNoInterrupt(intx.vector(0), { withinMs: QUIET_MS });
        intx.unmask();
        expect(intx.vector(0).waitSync()).toBe(1n);
        source.acknowledge();
        intx.unmask();
      }
      assertNoInterrupt(intx.vector(0), { withinMs: QUIET_MS });
      intx.trigger(0);
      expect(intx.vector(0).tryRead()).toBe(1n);
    });

    it("level_stays_until_acknowledged", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      const intx = offered(device.interrupts.intx);
      const source = requireIntxSource(device);
      intx.enable();
      source.prepare();
      source.raise();
      expect(intx.vector(0).waitSync()).toBe(1n);
      // The kernel has masked the line; the device still asserts it, so unmasking brings it again.
      assertNoInterrupt(intx.vector(0), { withinMs: QUIET_MS });
      intx.unmask();
      expect(intx.vector(0).waitSync()).toBe(1n);
      source.acknowledge();
      intx.unmask();
      assertNoInterrupt(intx.vector(0), { withinMs: QUIET_MS });
      // While the line is masked, the device raises it in vain. Unmasking brings the interrupt.
      intx.mask();
      source.raise();
      assertNoInterrupt(intx.vector(0), { withinMs: QUIET_MS });
      intx.unmask();
      expect(intx.vector(0).waitSync()).toBe(1n);
      source.acknowledge();
    });
  });

  fixture("vfio_pci_vectors", target, (address) => {
    requireMode(mode);

    for (const kind of ["msi", "msix"] as const) {
      describe(kind, () => {
        it("enable_again_after_disable", () => {
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          const interrupts = offered(device.interrupts[kind]);
          for (let round = 0; round < 3; round++) {
            interrupts.enable(0, 1);
            interrupts.trigger(0);
            expect(interrupts.vector(0).tryRead()).toBe(1n);
            interrupts.disable();
          }
        });

        it("eventfds_survive_reset", () => {
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          const interrupts = offered(device.interrupts[kind]);
          if (!device.info.resettable) {
            skip({ reason: "the device has no reset method", remedy: "use a device with function-level reset" });
          }
          interrupts.enable(0, 1);
          const vector = interrupts.vector(0);
          device.reset();
          interrupts.reenable();
          expect(interrupts.vector(0)).toBe(vector);
          interrupts.trigger(0);
          expect(vector.tryRead()).toBe(1n);
        });

        it("only_the_triggered_vector_signals", () => {
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          const interrupts = offered(device.interrupts[kind]);
          const count = Math.min(interrupts.count, 4);
          if (count === 1) {
            skip({ reason: `the device has one ${interrupts.name} vector`, remedy: "use a device with several" });
          }
          interrupts.enable(0, count);
          interrupts.trigger(count - 1);
          expect(interrupts.vector(count - 1).tryRead()).toBe(1n);
          for (let vector = 0; vector < count - 1; vector++) assertNoInterrupt(interrupts.vector(vector));
        });

        it("promise_resolves_and_times_out", async () => {
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          const interrupts = offered(device.interrupts[kind]);
          interrupts.enable(0, 1);
          const vector = interrupts.vector(0);
          const arrival = vector.wait({ timeoutMs: 5000 });
          interrupts.trigger(0);
          await expect(arrival).resolves.toBe(1n);
          await expect(vector.wait({ timeoutMs: 10 })).rejects.toThrow(errorWithCode("ETIMEDOUT"));
        });

        it("no_second_kind_beside_it", () => {
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          const interrupts = offered(device.interrupts[kind]);
          const other = offered(device.interrupts[kind === "msi" ? "msix" : "msi"]);
          interrupts.enable(0, 1);
          expect(() => other.enable(0, 1)).toThrow(errorWithCode("EBUSY"));
          interrupts.disable();
          other.enable(0, 1);
        });
      });
    }
  });

  fixture("vfio_pci_events", target, (address) => {
    requireMode(mode);

    for (const kind of ["err", "req"] as const) {
      describe(kind, () => {
        it("enable_trigger_disable", () => {
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          const event = offered(device.interrupts[kind]);
          event.enable();
          assertNoInterrupt(event.vector(0));
          event.trigger(0);
          expect(event.vector(0).tryRead()).toBe(1n);
          event.disable();
          expectDisabled(device, event);
          const cause = kind === "err" ? "a real uncorrectable PCIe error" : "a real unbind by the host";
          notChecked(`the event on ${cause}`, "only the kernel's software trigger was used");
        });
      });
    }
  });
}

/** The kernel holds no eventfd of this kind any more: it refuses the software trigger. */
function expectDisabled(device: PciDevice, { index }: InterruptIndex): void {
  expect(() => device.vfio.setIrqs({ index, action: "trigger", start: 0, count: 1 })).toThrow(errorWithCode("EINVAL"));
}

function offered(interrupts: InterruptIndex): InterruptIndex {
  if (interrupts.count > 0) return interrupts;
  skip({ reason: `the device has no ${interrupts.name}`, remedy: `use a device that offers ${interrupts.name}` });
}

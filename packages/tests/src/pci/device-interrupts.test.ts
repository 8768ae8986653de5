import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { type InterruptIndex, type InterruptKind, Iommu, PciDevice } from "@vfio-selftests/core";
import { sleepSync } from "@vfio-selftests/core/driver";
import { assertNoInterrupt, defaultMode, fixture, note, requireMode, skip } from "@vfio-selftests/harness";
import { type InterruptSource, interruptSourcesOf } from "@vfio-selftests/suites/devices/interrupts";

const target = kernelTarget();
const mode = defaultMode(target);

/** Milliseconds in which a wrong interrupt would arrive. */
const QUIET_MS = 50;

function sourcesOf(device: PciDevice, ...kinds: InterruptKind[]): InterruptSource[] {
  const sources = interruptSourcesOf(device).filter(({ kind }) => kinds.includes(kind));
  if (sources.length > 0) return sources;
  skip({
    reason: `no way is known to make ${device.address} raise ${kinds.join(" or ")} by its registers`,
    remedy: "pnpm vfio lab run --device igb (or edu): they can be told to",
  });
}

fixture("vfio_pci_interrupts_by_the_device", target, (address) => {
  requireMode(mode);

  function withDevice(use: (device: PciDevice) => void): void {
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    use(device);
  }

  it("each_raise_is_one_message", () => {
    withDevice((device) => {
      for (const source of sourcesOf(device, "msi", "msix")) {
        const index = enableAll(device, source);
        for (let round = 0; round < 20; round++) {
          source.raise();
          expect(index.vector(source.vector).waitSync()).toBe(1n);
          source.acknowledge();
        }
        for (const vector of index.enabledVectors) assertNoInterrupt(vector, { withinMs: QUIET_MS });
        index.disable();
        note(`${index.name} vector ${source.vector} of ${index.count}`);
      }
    });
  });

  it("a_level_stays_until_acknowledged", () => {
    withDevice((device) => {
      for (const source of sourcesOf(device, "intx")) {
        const intx = enableAll(device, source);
        const line = intx.vector(0);
        source.raise();
        expect(line.waitSync()).toBe(1n);
        assertNoInterrupt(line, { withinMs: QUIET_MS });
        line.unmask();
        expect(line.waitSync()).toBe(1n);
        source.acknowledge();
        line.unmask();
        assertNoInterrupt(line, { withinMs: QUIET_MS });
        line.mask();
        source.raise();
        assertNoInterrupt(line, { withinMs: QUIET_MS });
        line.unmask();
        expect(line.waitSync()).toBe(1n);
        source.acknowledge();
      }
    });
  });

  it("raising_while_disabled_disturbs_nothing", () => {
    withDevice((device) => {
      for (const source of sourcesOf(device, "intx", "msi", "msix")) {
        const index = enableAll(device, source);
        index.disable();
        source.raise();
        source.acknowledge();
        index.enable(source.vector, 1);
        source.prepare();
        const vector = index.vector(source.vector);
        // The device may keep a message that it raised meanwhile and send it later: igb does, edu does not.
        sleepSync(QUIET_MS);
        vector.tryRead();
        source.acknowledge();
        source.raise();
        expect(vector.waitSync()).toBe(1n);
        source.acknowledge();
        index.disable();
      }
    });
  });

  it("arrives_after_reset_and_reenable", () => {
    withDevice((device) => {
      if (!device.info.resettable) {
        skip({ reason: `${address} has no reset method`, remedy: "pnpm vfio lab run --device igb: it has FLR" });
      }
      for (const source of sourcesOf(device, "msi", "msix")) {
        const index = enableAll(device, source);
        const vector = index.vector(source.vector);
        source.raise();
        expect(vector.waitSync()).toBe(1n);
        device.reset();
        index.reenable();
        expect(index.vector(source.vector)).toBe(vector);
        source.prepare();
        source.raise();
        expect(vector.waitSync()).toBe(1n);
        source.acknowledge();
        index.disable();
      }
    });
  });

  it("resolves_a_promise", async () => {
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    for (const source of sourcesOf(device, "intx", "msi", "msix")) {
      const index = enableAll(device, source);
      for (let round = 0; round < 10; round++) {
        const arrival = index.vector(source.vector).wait({ timeoutMs: 5000 });
        source.raise();
        await expect(arrival).resolves.toBe(1n);
        source.acknowledge();
        if (source.kind === "intx") index.unmask();
      }
      index.disable();
    }
  });
});

function enableAll(device: PciDevice, source: InterruptSource): InterruptIndex {
  const index = device.interrupts[source.kind];
  index.enable();
  source.prepare();
  return index;
}

import { readFileSync } from "node:fs";
import type { InterruptIndex } from "@vfio-selftests/core";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import { defaultMode, fixture, skip } from "@vfio-selftests/harness";
import { type InterruptSource, interruptSourcesOf } from "../devices/interrupt-sources";
import { openForBlock } from "../rigs/device/open-device";
import { findHostIrq, HostIrqAffinity, hostIrqCounts, onlineCpus } from "../rigs/interrupts/kvm-irq/host-irq";
import type { SuiteTarget } from "../suite-target";

const VECTORS = 3;
const ROUNDS = 4;
/** Of an entry's upper half: the source-id, and how it is verified (VT-d 4.1, section 9.10). */
const SOURCE = { id: 0xffffn, validation: 18n, byId: 1n } as const;

/** An entry of VT-d's interrupt remapping table that is in use. */
interface RemappingEntry {
  readonly index: number;
  readonly high: bigint;
}

/** What the IOMMU makes of a device's interrupts: an entry for each vector, for that device alone, while it is enabled. */
export function interruptRemappingSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_interrupt_remapping", target, (address) => {
    const device = openForBlock(mode, address);

    const withVectors = (count: number, use: (msix: InterruptIndex) => void): void => {
      const { msix } = device().interrupts;
      if (msix.count < count) {
        skip({ reason: `the device has ${msix.count} MSI-X vectors`, remedy: `use a device with ${count}` });
      }
      msix.enable(0, count);
      try {
        use(msix);
      } finally {
        msix.disable();
      }
    };

    it("entries_come_and_go_with_the_vectors", () => {
      const before = remappingEntries(address).map(({ index }) => index);
      for (let round = 0; round < ROUNDS; round++) {
        withVectors(VECTORS, () => {
          const added = remappingEntries(address).filter(({ index }) => !before.includes(index));
          expect({ round, added: added.length }).toEqual({ round, added: VECTORS });
        });
        // clear_entries: a message that the device sends late goes nowhere.
        const left = remappingEntries(address).map(({ index }) => index);
        expect({ round, left }).toEqual({ round, left: before });
      }
    });

    it("entries_are_used_again", () => {
      const used = Array.from({ length: ROUNDS }, () => {
        let entries: readonly number[] = [];
        withVectors(VECTORS, () => (entries = remappingEntries(address).map(({ index }) => index)));
        return entries;
      });
      // alloc_irte takes the first that are free.
      expect(used).toEqual(used.map(() => used[0]));
    });

    it("entries_are_for_the_device_alone", () => {
      const requester = requesterOf(address);
      withVectors(VECTORS, () => {
        const entries = remappingEntries(address);
        expect(entries.length).toBeGreaterThanOrEqual(VECTORS);
        for (const { index, high } of entries) {
          // set_msi_sid
          expect({ index, id: high & SOURCE.id, validation: (high >> SOURCE.validation) & 3n }).toEqual({
            index,
            id: requester,
            validation: SOURCE.byId,
          });
        }
      });
    });

    it("interrupts_go_to_the_processor_that_is_chosen", () => {
      const cpus = onlineCpus();
      if (cpus.length < 2) skip({ reason: "there is one processor", remedy: "use a machine with several" });
      const source = sourceOf();
      withVectors(source.vector + 1, (msix) => {
        const irq = findHostIrq(address, "msix", source.vector);
        using affinity = new HostIrqAffinity(irq);
        source.prepare();
        for (let round = 0; round < ROUNDS; round++) {
          const cpu = cpus[round % 2] ?? 0;
          affinity.moveTo(cpu);
          raise(source, msix);
          // The first after the move may still come where the one before it was going.
          const before = hostIrqCounts(irq);
          for (let more = 0; more < VECTORS; more++) raise(source, msix);
          const taken = hostIrqCounts(irq).map((count, place) => count - (before[place] ?? 0));
          expect({ round, taken }).toEqual({ round, taken: before.map((_, place) => (place === cpu ? VECTORS : 0)) });
        }
      });
    });

    const sourceOf = (): InterruptSource => {
      const source = interruptSourcesOf(device()).find(({ kind }) => kind === "msix");
      if (source !== undefined) return source;
      skip({
        reason: `no way is known to make ${address} raise MSI-X by its registers`,
        remedy: "use a device with such registers: vfio-selftests lab run --device igb",
      });
    };
  });
}

function raise(source: InterruptSource, msix: InterruptIndex): void {
  source.raise();
  expect(msix.vector(source.vector).waitSync()).toBe(1n);
  source.acknowledge();
}

/** The device's requester id: bus, device and function. */
function requesterOf(address: string): bigint {
  const [, bus = "", device = "", fn = ""] = /^[0-9a-f]+:([0-9a-f]+):([0-9a-f]+)\.(\d)$/i.exec(address) ?? [];
  return BigInt((parseInt(bus, 16) << 8) | (parseInt(device, 16) << 3) | Number(fn));
}

/** The entries that the kernel has filled for the device (drivers/iommu/intel/debugfs.c). Skips the test where it shows none. */
function remappingEntries(address: string): RemappingEntry[] {
  const file = systemPaths.sys("kernel", "debug", "iommu", "intel", "ir_translation_struct");
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    skip({
      reason: `${file} cannot be read (${String(error)})`,
      remedy: "use an Intel IOMMU, a kernel with INTEL_IOMMU_DEBUGFS, and root: vfio-selftests lab run",
    });
  }
  const source = address.slice(address.indexOf(":") + 1);
  return text.split("\n").flatMap((line) => {
    const [index = "", id, , , high = ""] = line.trim().split(/\s+/);
    return id === source ? [{ index: Number(index), high: BigInt(`0x${high}`) }] : [];
  });
}

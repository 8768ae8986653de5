import { Eventfd, type InterruptIndex } from "@vfio-selftests/core";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import {
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "@vfio-selftests/core/uapi";
import { assertNoInterrupt, defaultMode, fixture, skip } from "@vfio-selftests/harness";
import { type InterruptSource, interruptSourcesOf } from "../devices/interrupt-sources";
import { PhysicalConfig } from "../rigs/config-space/physical-config";
import { openForBlock } from "../rigs/device/open-device";
import { messageIrqs, vfioInterrupts } from "../rigs/interrupts/kernel-interrupts";
import { ENTRY_MASKED, MsixTable } from "../rigs/interrupts/msix-table";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

const EVENTFD = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
const BOOL = VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER;
const NONE = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;

/** Long enough to see an interrupt that must not come. */
const QUIET_MS = 50;
/** Vectors of the tests: enough for a pattern. */
const FEW = 5;

/** Offset of the MSI and MSI-X control word in the capability, and its enable bits (PCI 3.0, 6.8.1.3 and 6.8.2.3). */
const CONTROL = 2;
const ENABLED = { msi: 1 << 0, msix: 1 << 15 } as const;

/** MSI and MSI-X: which eventfd gets which interrupt of device and software, and what disabling leaves behind. */
export function messageVectorsSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_message_vectors", target, (address) => {
    const device = openForBlock(mode, address);

    const msix = (count = FEW): InterruptIndex => {
      const index = device().interrupts.msix;
      if (index.count >= count) return index;
      skip({ reason: `the device has ${index.count} MSI-X vectors`, remedy: `use a device with ${count}` });
    };

    /** Gives the kernel eventfds for the first vectors while `use` runs. */
    const withVectors = (count: number, use: (eventfds: readonly Eventfd[], raw: RawDevice) => void): void => {
      const { index } = msix(count);
      const raw = new RawDevice(device());
      const eventfds = Array.from({ length: count }, (_, vector) => new Eventfd(`vector ${vector}`));
      try {
        const data = Int32Array.from(eventfds, ({ fd }) => fd);
        expect(raw.setIrqs({ flags: EVENTFD, index, count, data })).toBe(0);
        use(eventfds, raw);
        expect(raw.setIrqs({ flags: NONE, index, count: 0 })).toBe(0);
      } finally {
        raw.setIrqs({ flags: NONE, index, count: 0 });
        for (const eventfd of eventfds) eventfd.close();
      }
    };

    const counts = (eventfds: readonly Eventfd[]) => eventfds.map((eventfd) => eventfd.tryRead() ?? 0n);

    for (const pattern of [
      [1, 0, 1, 1, 0],
      [0, 1, 0, 0, 1],
      [0, 0, 0, 0, 0],
      [1, 1, 1, 1, 1],
    ]) {
      it(`bool_pattern_${pattern.join("")}`, () => {
        withVectors(FEW, (eventfds, raw) => {
          const { index } = msix();
          expect(raw.setIrqs({ flags: BOOL, index, count: FEW, data: Uint8Array.from(pattern) })).toBe(0);
          expect(counts(eventfds)).toEqual(pattern.map(BigInt));
        });
      });
    }

    it("bool_pattern_from_the_third_vector", () => {
      withVectors(FEW, (eventfds, raw) => {
        const data = Uint8Array.of(0, 1, 1);
        expect(raw.setIrqs({ flags: BOOL, index: msix().index, start: 2, count: 3, data })).toBe(0);
        expect(counts(eventfds)).toEqual([0n, 0n, 0n, 1n, 1n]);
      });
    });

    it("none_triggers_a_range", () => {
      withVectors(FEW, (eventfds, raw) => {
        expect(raw.setIrqs({ flags: NONE, index: msix().index, start: 1, count: 3 })).toBe(0);
        expect(counts(eventfds)).toEqual([0n, 1n, 1n, 1n, 0n]);
      });
    });

    for (const kind of ["msi", "msix"] as const) {
      it(`${kind}_may_begin_with_a_later_vector`, () => {
        const { index, count, name } = device().interrupts[kind];
        if (count < 3) skip({ reason: `the device has ${count} ${name} vectors`, remedy: "use a device with four" });
        const raw = new RawDevice(device());
        using eventfd = new Eventfd("third vector");
        try {
          // vfio_pci_set_msi_trigger makes room for those before it, too.
          expect(raw.setIrqs({ flags: EVENTFD, index, start: 2, data: Int32Array.of(eventfd.fd) })).toBe(0);
          expect(messageIrqs(address)).toHaveLength(3);
          expect(vfioInterrupts(address).map((each) => each.name)).toEqual([`vfio-${kind}[2]`]);
          expect(raw.setIrqs({ flags: NONE, index, count: 2 })).toBe(0);
          expect(eventfd.tryRead()).toBeUndefined();
          expect(raw.setIrqs({ flags: NONE, index, count: 3 })).toBe(0);
          expect(eventfd.tryRead()).toBe(1n);
        } finally {
          raw.setIrqs({ flags: NONE, index, count: 0 });
        }
        expect(messageIrqs(address)).toEqual([]);
      });
    }

    it("kernel_holds_one_interrupt_for_each_vector", () => {
      expect(vfioInterrupts(address)).toEqual([]);
      expect(messageIrqs(address)).toEqual([]);
      withVectors(3, (_, raw) => {
        const { index } = msix();
        expect(vfioInterrupts(address).map(({ name }) => name)).toEqual([
          "vfio-msix[0]",
          "vfio-msix[1]",
          "vfio-msix[2]",
        ]);
        expect(vfioInterrupts(address).map(({ irq }) => irq)).toEqual(messageIrqs(address));
        // Without its eventfd a vector has no handler, but keeps its number.
        const irqs = messageIrqs(address);
        expect(raw.setIrqs({ flags: EVENTFD, index, start: 1, data: Int32Array.of(-1) })).toBe(0);
        expect(vfioInterrupts(address).map(({ name }) => name)).toEqual(["vfio-msix[0]", "vfio-msix[2]"]);
        expect(messageIrqs(address)).toEqual(irqs);
      });
      expect(vfioInterrupts(address)).toEqual([]);
      expect(messageIrqs(address)).toEqual([]);
    });

    for (const kind of ["msi", "msix"] as const) {
      it(`${kind}_is_enabled_in_the_device_while_it_is_used`, () => {
        const interrupts = device().interrupts[kind];
        const capability = device().config.findCapability(PciCapabilityId[kind]);
        if (capability === undefined) {
          skip({ reason: `the device has no ${interrupts.name}`, remedy: `use a device with ${interrupts.name}` });
        }
        using physical = new PhysicalConfig(address);
        const enabled = () => (physical.read16(capability.offset + CONTROL) & ENABLED[kind]) !== 0;
        expect(enabled()).toBe(false);
        interrupts.enable(0, 1);
        expect(enabled()).toBe(true);
        interrupts.disable();
        expect(enabled()).toBe(false);
      });
    }

    it("replaced_eventfd_hears_nothing_more", () => {
      withVectors(2, (eventfds, raw) => {
        const { index } = msix();
        using other = new Eventfd("the other");
        expect(raw.setIrqs({ flags: EVENTFD, index, start: 1, data: Int32Array.of(other.fd) })).toBe(0);
        expect(raw.setIrqs({ flags: NONE, index, count: 2 })).toBe(0);
        expect([...counts(eventfds), other.tryRead()]).toEqual([1n, 0n, 1n]);
      });
    });

    it("vector_without_eventfd_is_left_out", () => {
      withVectors(3, (eventfds, raw) => {
        const { index } = msix();
        expect(raw.setIrqs({ flags: EVENTFD, index, start: 1, data: Int32Array.of(-1) })).toBe(0);
        expect(raw.setIrqs({ flags: NONE, index, count: 3 })).toBe(0);
        expect(counts(eventfds)).toEqual([1n, 0n, 1n]);
        // It is back when it gets an eventfd.
        expect(raw.setIrqs({ flags: EVENTFD, index, start: 1, data: Int32Array.of(eventfds[1]?.fd ?? -1) })).toBe(0);
        expect(raw.setIrqs({ flags: NONE, index, count: 3 })).toBe(0);
        expect(counts(eventfds)).toEqual([1n, 1n, 1n]);
      });
    });

    it("disabled_eventfds_hear_nothing_more", () => {
      withVectors(2, (eventfds, raw) => {
        const { index } = msix();
        expect(raw.setIrqs({ flags: NONE, index, count: 0 })).toBe(0);
        expect(raw.setIrqs({ flags: NONE, index, count: 2 })).toBe("EINVAL");
        expect(counts(eventfds)).toEqual([0n, 0n]);
        const data = Int32Array.from(eventfds, ({ fd }) => fd);
        expect(raw.setIrqs({ flags: EVENTFD, index, count: 2, data })).toBe(0);
      });
    });

    it("bad_descriptor_at_first_enables_none", () => {
      using eventfd = new Eventfd("first");
      const raw = new RawDevice(device());
      const { index } = msix();
      // vfio_pci_set_msi_trigger undoes what vfio_msi_set_block had done.
      expect(raw.setIrqs({ flags: EVENTFD, index, count: 2, data: Int32Array.of(eventfd.fd, 0) })).toBe("EINVAL");
      expect(messageIrqs(address)).toEqual([]);
      expect(raw.setIrqs({ flags: NONE, index })).toBe("EINVAL");
      assertNoInterrupt(eventfd);
    });

    it("bad_descriptor_later_takes_its_block_only", () => {
      withVectors(FEW, (eventfds, raw) => {
        const { index } = msix();
        const fds = eventfds.map(({ fd }) => fd);
        const data = Int32Array.of(fds[1] ?? -1, 0, fds[3] ?? -1);
        expect(raw.setIrqs({ flags: EVENTFD, index, start: 1, count: 3, data })).toBe("EINVAL");
        expect(raw.setIrqs({ flags: NONE, index, count: FEW })).toBe(0);
        // vfio_msi_set_block stops at the bad one and clears from the start to there: the fourth keeps its eventfd.
        expect(counts(eventfds)).toEqual([1n, 0n, 0n, 1n, 1n]);
      });
    });

    it("vectors_come_later_where_the_kernel_allows_it", () => {
      withVectors(1, (eventfds, raw) => {
        const interrupts = msix();
        const { index, info } = interrupts;
        using last = new Eventfd("last");
        const start = interrupts.count - 1;
        const answer = raw.setIrqs({ flags: EVENTFD, index, start, data: Int32Array.of(last.fd) });
        expect(answer).toBe(info.noResize ? "EINVAL" : 0);
        expect(raw.setIrqs({ flags: NONE, index, count: interrupts.count })).toBe(0);
        expect([...counts(eventfds), last.tryRead()]).toEqual([1n, info.noResize ? undefined : 1n]);
      });
    });

    it("enabling_leaves_memory_space_as_it_was", () => {
      const { config } = device();
      using physical = new PhysicalConfig(address);
      const command = config.command;
      config.memoryEnable = false;
      try {
        withVectors(2, () => {
          expect([config.memoryEnable, physical.read16(4) & 2]).toEqual([false, 0]);
        });
        expect([config.memoryEnable, physical.read16(4) & 2]).toEqual([false, 0]);
      } finally {
        config.command = command;
      }
    });

    describe("table", () => {
      it("is_written_without_memory_space_too", () => {
        const table = new MsixTable(device());
        const { config } = device();
        try {
          // vfio_pci_memory_lock_and_enable: the kernel itself reaches the table.
          config.memoryEnable = false;
          withVectors(2, () => {
            config.memoryEnable = true;
            const entries = [0, 1].map((vector) => table.entry(vector));
            expect(entries.map(({ address: message, control }) => [message >>> 20, control & ENTRY_MASKED])).toEqual([
              [0xfee, 0],
              [0xfee, 0],
            ]);
            config.memoryEnable = false;
          });
        } finally {
          config.memoryEnable = true;
        }
      });

      it("has_a_message_for_each_enabled_vector", () => {
        const table = new MsixTable(device());
        withVectors(3, (_, raw) => {
          for (const vector of [0, 1, 2]) {
            const { address: message, control } = table.entry(vector);
            // An interrupt message goes to the x86 processors' range, 0xfee00000 to 0xfeefffff.
            expect({ vector, to: message >>> 20, masked: control & ENTRY_MASKED }).toEqual({
              vector,
              to: 0xfee,
              masked: 0,
            });
          }
          expect(raw.setIrqs({ flags: EVENTFD, index: msix().index, start: 1, data: Int32Array.of(-1) })).toBe(0);
          expect(table.entry(1).control & ENTRY_MASKED).toBe(1);
          expect(table.entry(2).control & ENTRY_MASKED).toBe(0);
        });
      });

      it("entry_is_written_again_with_its_eventfd", () => {
        const table = new MsixTable(device());
        withVectors(2, (eventfds, raw) => {
          const before = table.entry(1);
          table.writeAddress(1, 0);
          // A device that was reset behind the kernel's back has lost it. vfio_msi_set_vector_signal writes it again.
          const data = Int32Array.of(eventfds[1]?.fd ?? -1);
          expect(raw.setIrqs({ flags: EVENTFD, index: msix().index, start: 1, data })).toBe(0);
          expect(table.entry(1)).toEqual(before);
        });
      });
    });

    describe("device", () => {
      const sources = (): readonly InterruptSource[] => {
        const known = interruptSourcesOf(device()).filter(({ kind }) => kind === "msix");
        if (known.length > 0) return known;
        skip({
          reason: `no way is known to make ${address} raise MSI-X by its registers`,
          remedy: "use a device with such registers: vfio-selftests lab run --device igb",
        });
      };

      const oneSource = (): InterruptSource => {
        const [source] = sources();
        if (source === undefined) throw new Error("there is no source");
        return source;
      };

      it("raise_reaches_its_vector_only", () => {
        withVectors(FEW, (eventfds) => {
          for (const source of sources()) {
            source.prepare();
            source.raise();
            expect(eventfds[source.vector]?.waitSync()).toBe(1n);
            source.acknowledge();
            expect(counts(eventfds)).toEqual(eventfds.map(() => 0n));
          }
        });
      });

      it("raise_is_counted_by_the_kernel", () => {
        withVectors(FEW, (eventfds) => {
          const source = oneSource();
          source.prepare();
          const taken = () => vfioInterrupts(address)[source.vector]?.count ?? -1;
          const before = taken();
          for (let round = 1; round <= 3; round++) {
            source.raise();
            expect(eventfds[source.vector]?.waitSync()).toBe(1n);
            source.acknowledge();
            expect(taken() - before).toBe(round);
          }
        });
      });

      it("raise_after_disable_reaches_nobody", () => {
        const source = oneSource();
        const { index } = msix();
        using eventfd = new Eventfd("disabled");
        const raw = new RawDevice(device());
        const data = new Int32Array(source.vector + 1).fill(-1);
        data[source.vector] = eventfd.fd;
        expect(raw.setIrqs({ flags: EVENTFD, index, count: data.length, data })).toBe(0);
        source.prepare();
        source.raise();
        expect(eventfd.waitSync()).toBe(1n);
        source.acknowledge();
        expect(raw.setIrqs({ flags: NONE, index, count: 0 })).toBe(0);
        source.raise();
        assertNoInterrupt(eventfd, { withinMs: QUIET_MS });
        source.acknowledge();
      });

      it("reset_keeps_the_eventfds", () => {
        withVectors(2, (eventfds, raw) => {
          device().reset();
          counts(eventfds);
          expect(raw.setIrqs({ flags: NONE, index: msix().index, count: 2 })).toBe(0);
          expect(counts(eventfds)).toEqual([1n, 1n]);
        });
      });
    });
  });
}

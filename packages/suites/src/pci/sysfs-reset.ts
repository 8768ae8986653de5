import { writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Iommu, PciDevice, VfioError } from "@vfio-selftests/core";
import { PciCommand, PciConfig } from "@vfio-selftests/core/pci";
import { existsPath, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  defaultMode,
  eachMode,
  expectKernelLog,
  fixture,
  GuardedValue,
  note,
  requireMode,
  skip,
} from "@vfio-selftests/harness";
import { deviceFileOf } from "@vfio-selftests/iommu-modes";
import { device as requests } from "@vfio-selftests/iommu-modes/requests";
import { interruptSourcesOf } from "../devices/interrupt-sources";
import { scratchRegistersOf } from "../devices/scratch-registers";
import { resetBusPastKernel } from "../rigs/bus/backdoor-reset";
import { PendingWrite } from "../rigs/bus/pending-write";
import { PhysicalConfig } from "../rigs/config-space/physical-config";
import { CopyRig } from "../rigs/dma/copy-rig";
import { messageIrqs } from "../rigs/interrupts/kernel-interrupts";
import { codeOf } from "../rigs/raw/ask-kernel";
import type { SuiteTarget } from "../suite-target";

/** Methods that reset the registers. QEMU's igb keeps them over D3hot ("pm"), though its configuration says otherwise. */
const RESETTING: readonly string[] = ["flr", "af_flr", "bus"];
/** What a register reads without a device behind its address: on hardware, and in QEMU. */
const NOBODY: readonly number[] = [0xffff_ffff, 0];
const BARS = 24;
const MARK = 0x5eed;
const GUARD = 0xa5;
const COPY_MS = 300;
/** Between two attempts of a user, so that the other side gets the device's lock. */
const PAUSE_MS = 5;
const MOST_RESETS = 20;
const INTERRUPT_MS = 5000;
const TIMEOUT_MS = 60_000;

/** A device that somebody else resets while a user has it open: by sysfs, and past the kernel. */
export function sysfsResetSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_sysfs_reset", target, (address) => {
    const file = systemPaths.pciDevice(address, "reset");
    const methods = systemPaths.pciDevice(address, "reset_method");

    const resetBySysfs = (): void => {
      if (!existsPath(file)) skip({ reason: "the device has no reset", remedy: "use a device with FLR: igb" });
      writeFileSync(file, "1");
    };

    const withDevice = async (use: (device: PciDevice) => void | Promise<void>): Promise<void> => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      await use(device);
    };

    eachMode(target, (each) => {
      it(
        "dma_stops_and_the_mappings_stay",
        () => {
          using rig = new CopyRig(target, each, [address]);
          const { copier } = rig;
          const { session, source, destination } = copier;
          copier.copy();
          resetBySysfs();
          destination.bytes.fill(GUARD);
          // The driver does not know, and rings a doorbell in vain.
          expect(() => session.memcpySync(source.iova, destination.iova, 64, { timeoutMs: COPY_MS })).toThrow(
            VfioError,
          );
          expect(destination.bytes.every((byte) => byte === GUARD)).toBe(true);
          session.remove();
          session.create();
          copier.copy();
        },
        TIMEOUT_MS,
      );
    });

    describe("device", () => {
      requireMode(mode);

      it("keeps_its_configuration_and_loses_its_registers", () =>
        withDevice((device) => {
          const { bar, offset } = scratchRegistersOf(device);
          using physical = new PhysicalConfig(address);
          const registers = device.bar(bar);
          device.config.busMaster = true;
          const before = [device.config.bytes(0, 256), physical.bytes(0, 256)];
          registers.write32(offset, MARK);
          expect(registers.read32(offset)).toBe(MARK);
          resetBySysfs();
          expect(registers.read32(offset)).toBe(0);
          expect([device.config.bytes(0, 256), physical.bytes(0, 256)]).toEqual(before);
        }));

      it("interrupts_reach_the_same_eventfds", () =>
        withDevice(async (device) => {
          const sources = interruptSourcesOf(device).filter(({ kind }) => kind !== "intx");
          if (sources.length === 0) skip({ reason: "no way is known to make it interrupt", remedy: "use QEMU's igb" });
          const { bar, offset } = scratchRegistersOf(device);
          for (const source of sources) {
            const index = device.interrupts[source.kind];
            index.enable(0, source.vector + 1);
            const vector = index.vector(source.vector);
            const irqs = messageIrqs(address);
            for (let round = 0; round < 2; round++) {
              source.prepare();
              source.raise();
              await expect(vector.wait({ timeoutMs: INTERRUPT_MS })).resolves.toBe(1n);
              source.acknowledge();
              device.bar(bar).write32(offset, MARK);
              resetBySysfs();
              expect([device.bar(bar).read32(offset), messageIrqs(address)]).toEqual([0, irqs]);
            }
            index.disable();
          }
        }));

      it("every_method_keeps_the_configuration", () =>
        withDevice((device) => {
          const { bar, offset } = scratchRegistersOf(device);
          using guarded = new GuardedValue(methods);
          using physical = new PhysicalConfig(address);
          const registers = device.bar(bar);
          device.config.busMaster = true;
          const before = physical.bytes(0, 64);
          const resetting = guarded.original.split(" ").filter((method) => RESETTING.includes(method));
          for (const method of resetting) {
            guarded.set(method);
            registers.write32(offset, MARK);
            resetBySysfs();
            expect([method, registers.read32(offset), physical.bytes(0, 64)]).toEqual([method, 0, before]);
          }
          expect(resetting).not.toEqual([]);
          note(`${resetting.join(", ")} of ${guarded.original}`);
        }));

      it("without_a_method_is_reset_by_nobody", () => {
        if (!existsPath(methods)) skip({ reason: "the device has no reset", remedy: "use a device with FLR: igb" });
        using guarded = new GuardedValue(methods);
        const ask = (device: PciDevice) => codeOf(deviceFileOf(device.vfio).attempt(requests.resetDevice()));
        using iommu = new Iommu(mode.open());
        {
          using device = PciDevice.open(iommu, address);
          expect(ask(device)).toBe("ok");
          // An empty line takes all methods away (reset_method_store).
          guarded.set("\n");
          expect([ask(device), codeOfWrite(file)]).toEqual(["ENOTTY", "ENOTTY"]);
        }
        {
          // A device that could not be reset at its opening says so.
          using device = PciDevice.open(iommu, address);
          expect([device.info.resettable, ask(device)]).toEqual([false, "EINVAL"]);
        }
        guarded.set(guarded.original);
        using device = PciDevice.open(iommu, address);
        expect([device.info.resettable, ask(device)]).toEqual([true, "ok"]);
      });

      it(
        "user_who_resets_it_meanwhile_is_told_to_try_again",
        () =>
          withDevice(async (device) => {
            if (!existsPath(file)) skip({ reason: "the device has no reset", remedy: "use a device with FLR: igb" });
            const answers = new Set<string>();
            // A reset takes a tenth of a second. On a busy machine this process may miss it.
            for (let round = 0; round < MOST_RESETS && !answers.has("EAGAIN"); round++) {
              await using reset = new PendingWrite(file, "1");
              while (await reset.waits()) {
                answers.add(codeOf(deviceFileOf(device.vfio).attempt(requests.resetDevice())));
                await delay(PAUSE_MS);
              }
              expect(await reset.end()).toBe("ok");
            }
            // pci_try_reset_function takes no lock that another holds.
            expect([...answers].filter((answer) => answer !== "ok")).toEqual(["EAGAIN"]);
            expect(() => device.reset()).not.toThrow();
          }),
        TIMEOUT_MS,
      );
    });

    describe("backdoor", () => {
      requireMode(mode);

      it(
        "write_of_the_command_register_restores_the_bars",
        async () => {
          using rig = new CopyRig(target, mode, [address]);
          const { copier } = rig;
          const { config } = copier.device;
          using physical = new PhysicalConfig(address);
          copier.copy();
          expect(NOBODY).not.toContain(copier.device.bar(0).read32(0));
          const [seen, real] = [config.bytes(PciConfig.bar0, BARS), physical.bytes(PciConfig.bar0, BARS)];
          await resetBusPastKernel(target, address);
          const enabled = PciCommand.memory | PciCommand.busMaster;
          expect([physical.read16(PciConfig.command) & enabled, physical.bytes(PciConfig.bar0, BARS)]).not.toEqual([
            enabled,
            real,
          ]);
          // The user sees addresses that the device does not have any more, and no registers behind them.
          expect(config.bytes(PciConfig.bar0, BARS)).toEqual(seen);
          expect(NOBODY).toContain(copier.device.bar(0).read32(0));
          expectKernelLog(/reset recovery - restoring BARs/);
          config.command = config.command | enabled;
          expect([physical.read16(PciConfig.command) & enabled, physical.bytes(PciConfig.bar0, BARS)]).toEqual([
            enabled,
            real,
          ]);
          expect(NOBODY).not.toContain(copier.device.bar(0).read32(0));
          copier.session.remove();
          copier.session.create();
          copier.copy();
        },
        TIMEOUT_MS,
      );

      it(
        "close_restores_the_configuration_for_the_next_user",
        async () => {
          using physical = new PhysicalConfig(address);
          let before = physical.bytes(PciConfig.bar0, BARS);
          await withDevice(async () => {
            before = physical.bytes(PciConfig.bar0, BARS);
            await resetBusPastKernel(target, address);
            expect(physical.bytes(PciConfig.bar0, BARS)).not.toEqual(before);
          });
          expect(physical.bytes(PciConfig.bar0, BARS)).toEqual(before);
          using rig = new CopyRig(target, mode, [address]);
          rig.copier.copy();
        },
        TIMEOUT_MS,
      );
    });
  });
}

function codeOfWrite(path: string): string {
  try {
    writeFileSync(path, "1");
    return "ok";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

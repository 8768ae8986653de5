import { spawn } from "node:child_process";
import { once } from "node:events";
import { Iommu, PciDevice, VfioError } from "@vfio-selftests/core";
import { existsPath, linkName, pciDevice, readNumber, systemPaths } from "@vfio-selftests/core/sysfs";
import { defaultMode, eachMode, errorWithCode, fixture, requireMode } from "@vfio-selftests/harness";
import { Reach } from "../rigs/dma/reach";
import { requireToken } from "../rigs/sriov/require-token";
import { type FunctionAtWork, SriovRig } from "../rigs/sriov/sriov-rig";
import { VF_TOKEN } from "../rigs/sriov/vf-token";
import { enableVfs, vfAddress } from "../rigs/sriov/virtual-functions";
import type { SuiteTarget } from "../suite-target";

const ASKED_MS = 15_000;
const INTERRUPT_MS = 5000;
const TIMEOUT_MS = 60_000;
/** Every order in which three devices can be opened. */
const ORDERS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;

/** A PF and its VFs in user space, all at work: they copy by themselves, and come, go and are reset under each other. */
export function sriovLifecycleSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_sriov_lifecycle", target, (pf) => {
    eachMode(target, (each) => {
      requireToken(each, pf);

      it(
        "each_function_reaches_its_own_memory",
        () => {
          using rig = new SriovRig(target, each, pf, 2);
          const functions = [rig.openPf(), rig.openVf(0), rig.openVf(1)];
          const [first] = functions;
          // The same addresses lead to other memory for each function.
          expect(functions.map(({ copier }) => copier.destination.iova)).toEqual(
            functions.map(() => first?.copier.destination.iova),
          );
          for (const at of functions) at.copier.start();
          for (const at of functions) at.copier.finish();
          const before = functions.map((at) => at.received());
          for (const [number, at] of functions.entries()) {
            at.copy();
            const same = functions.map((each, other) => before[other]?.equals(each.received()));
            expect(same).toEqual(functions.map((_, other) => other !== number));
            before[number] = at.received();
          }
        },
        TIMEOUT_MS,
      );
    });

    describe("together", () => {
      requireMode(mode);
      requireToken(mode, pf);

      it(
        "functions_share_an_address_space",
        () => {
          using rig = new SriovRig(target, mode, pf, 1, "shared");
          const functions = [rig.openPf(), rig.openVf(0)];
          for (const at of functions) at.copy();
          // Each reaches the other's memory.
          const [physical, virtual] = functions as [FunctionAtWork, FunctionAtWork];
          for (const [from, to] of [
            [physical, virtual],
            [virtual, physical],
          ] as const) {
            new Reach(from.copier).expectWrite(to.copier.destination.iova, to.copier.destination.bytes);
          }
        },
        TIMEOUT_MS,
      );

      it(
        "interrupts_come_from_the_function_that_raises_them",
        async () => {
          using rig = new SriovRig(target, mode, pf, 2);
          const functions = [rig.openPf(), rig.openVf(0), rig.openVf(1)];
          const vectors = functions.map(({ copier }) => copier.device.interrupts.msix.enabledVectors);
          const taken = () => vectors.map((each) => each.map((vector) => Number(vector.tryRead() ?? 0n)));
          const none = vectors.map((each) => each.map(() => 0));
          for (const [number, { copier }] of functions.entries()) {
            const { session, source, destination, size } = copier;
            session.sendMsi();
            await session.msi.wait({ timeoutMs: INTERRUPT_MS });
            expect([number, taken()]).toEqual([number, none]);
            // The end of an awaited copy is an interrupt, too, which the wait takes.
            source.bytes.fill(number + 1);
            destination.bytes.fill(0);
            await session.memcpy(source.iova, destination.iova, size);
            expect(Buffer.compare(destination.bytes.subarray(0, size), source.bytes.subarray(0, size))).toBe(0);
            expect([number, taken()]).toEqual([number, none]);
          }
        },
        TIMEOUT_MS,
      );
    });

    describe("reach", () => {
      requireMode(mode);
      requireToken(mode, pf);

      it("vf_does_not_reach_what_its_pf_does", () => {
        using rig = new SriovRig(target, mode, pf, 1);
        const [physical, virtual] = [rig.openPf(), rig.openVf(0)];
        const { source, destination } = physical.copier;
        virtual.copier.destination.unmap();
        // Only the PF's space has this address now. A driver that loses the frame brings its VF up again.
        const mine = destination.iova;
        new Reach(virtual.copier).expectNoWrite(mine, destination.bytes, source.bytes);
        new Reach(physical.copier).expectWrite(mine, destination.bytes);
      });

      it("groups_are_their_own", () => {
        using _count = enableVfs(pf, 2);
        const groups = [pf, vfAddress(pf, 0), vfAddress(pf, 1)].map((address) => pciDevice(address).iommuGroup);
        expect(new Set(groups).size).toBe(groups.length);
        expect(groups).not.toContain(undefined);
      });
    });

    describe("reset", () => {
      requireMode(mode);
      requireToken(mode, pf);

      it(
        "of_a_vf_leaves_the_others_at_work",
        () => {
          using rig = new SriovRig(target, mode, pf, 2);
          const [physical, first, second] = [rig.openPf(), rig.openVf(0), rig.openVf(1)];
          for (let round = 0; round < 2; round++) {
            first.copier.device.reset();
            for (const at of [physical, second]) at.copy();
            expect(() => first.copy()).toThrow(VfioError);
            first.startAgain();
            for (const at of [first, second, physical]) at.copy();
          }
        },
        TIMEOUT_MS,
      );

      it(
        "of_the_pf_stops_its_vfs_until_it_is_up_again",
        () => {
          using rig = new SriovRig(target, mode, pf, 2);
          const [physical, ...virtual] = [rig.openPf(), rig.openVf(0), rig.openVf(1)];
          for (const at of virtual) at.copy();
          physical.copier.device.reset();
          // The kernel restores the PF's SR-IOV capability (pci_restore_iov_state): the VFs stay.
          expect(readNumber(rig.count.path)).toBe(2);
          for (const { copier } of virtual) {
            const kept = Buffer.from(copier.destination.bytes);
            expect(() => copier.session.memcpySync(copier.source.iova, copier.destination.iova, 1)).toThrow(VfioError);
            expect(kept.equals(copier.destination.bytes)).toBe(true);
            expect(copier.device.config.deviceId).toBe(
              readNumber(systemPaths.pciDevice(copier.device.address, "device")),
            );
          }
          for (const at of [physical, ...virtual]) at.startAgain();
          for (const at of [physical, ...virtual]) at.copy();
        },
        TIMEOUT_MS,
      );
    });

    describe("order", () => {
      requireMode(mode);
      requireToken(mode, pf);

      it("vfs_appear_and_go_while_the_pf_is_open", () => {
        using count = enableVfs(pf, 1);
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, pf, { vfToken: VF_TOKEN });
        const bars = () => device.bars.filter(({ mappable }) => mappable).map((bar) => bar.read32(8));
        for (const vfs of [0, 2, 0, 1, 0]) {
          count.set(vfs);
          const present = [0, 1, 2].map((number) => linkName(systemPaths.pciDevice(pf, `virtfn${number}`)));
          expect(present.map((address) => address !== undefined)).toEqual([vfs > 0, vfs > 1, false]);
          for (const address of present.slice(0, vfs)) {
            using other = new Iommu(mode.open());
            using vf = PciDevice.open(other, address ?? "", { vfToken: VF_TOKEN });
            expect(vf.config.vendorId).toBe(device.config.vendorId);
          }
          expect(bars().every((value) => value !== 0xffff_ffff)).toBe(true);
        }
      });

      it(
        "functions_open_and_close_in_every_order",
        () => {
          using _count = enableVfs(pf, 2);
          const addresses = [pf, vfAddress(pf, 0), vfAddress(pf, 1)];
          // The PF takes the token at its first opening, and keeps it while all are closed.
          using iommu = new Iommu(mode.open());
          PciDevice.open(iommu, pf, { vfToken: VF_TOKEN }).close();
          for (const [round, order] of ORDERS.entries()) {
            const spaces = order.map(() => new Iommu(mode.open()));
            try {
              const devices = order.map((which, at) =>
                PciDevice.open(spaces[at] as Iommu, addresses[which] ?? "", { vfToken: VF_TOKEN }),
              );
              // Orders in which they close: as they came, and the other way round.
              if (round % 2 === 1) devices.reverse();
              while (devices.length > 0) {
                for (const { config, address } of devices) {
                  expect([address, config.vendorId]).toEqual([
                    address,
                    readNumber(systemPaths.pciDevice(address, "vendor")),
                  ]);
                }
                devices.shift()?.close();
              }
            } finally {
              for (const space of spaces) space.close();
            }
          }
        },
        TIMEOUT_MS,
      );

      it(
        "vf_outlives_its_pfs_user",
        () => {
          using rig = new SriovRig(target, mode, pf, 1);
          const physical = rig.openPf();
          const virtual = rig.openVf(0);
          virtual.copy();
          // The kernel resets the PF when its user closes it. The VF stays, but has nobody who switches its frames.
          physical[Symbol.dispose]();
          expect(() => virtual.copy()).toThrow(VfioError);
          const again = rig.openPf();
          virtual.startAgain();
          for (const at of [virtual, again]) at.copy();
        },
        TIMEOUT_MS,
      );

      it(
        "vf_in_use_goes_when_it_is_closed",
        async () => {
          using rig = new SriovRig(target, mode, pf, 2);
          const physical = rig.openPf();
          const [first, second] = [rig.openVf(0), rig.openVf(1)];
          const { device } = first.copier;
          second[Symbol.dispose]();
          device.interrupts.req.enable();
          const asked = device.interrupts.req.vector(0).wait({ timeoutMs: ASKED_MS });
          // A process of its own writes, because the write returns only when the VF is closed.
          const disable = spawn("sh", ["-c", `echo 0 > ${rig.count.path}`], { stdio: "ignore" });
          const ended = once(disable, "exit");
          try {
            await expect(asked).resolves.toBe(1n);
            // The VF serves its user until then.
            first.copy();
            expect([disable.exitCode, existsPath(systemPaths.pciDevice(device.address, "vendor"))]).toEqual([
              null,
              true,
            ]);
          } finally {
            first[Symbol.dispose]();
            await ended;
          }
          expect([disable.exitCode, existsPath(systemPaths.pciDevice(device.address, "vendor"))]).toEqual([0, false]);
          using iommu = new Iommu(mode.open());
          expect(() => iommu.openDevice(device.address, { vfToken: VF_TOKEN })).toThrow(errorWithCode("ENODEV"));
          physical.startAgain();
          physical.copy();
        },
        TIMEOUT_MS,
      );
    });
  });
}

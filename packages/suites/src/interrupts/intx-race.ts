import { Eventfd, type InterruptIndex, Iommu, PciDevice, type SetIrqs } from "@vfio-selftests/core";
import { sleepSync } from "@vfio-selftests/core/driver";
import { assertNoInterrupt, defaultMode, fixture, note, requireMode } from "@vfio-selftests/harness";
import { deviceFileOf } from "@vfio-selftests/iommu-modes";
import { device as requests, encodeIoctl } from "@vfio-selftests/iommu-modes/requests";
import { requireIntxSource } from "../rigs/interrupts/intx-line";
import { Racer, type RacerCall } from "../rigs/race/racer";
import type { SuiteTarget } from "../suite-target";

/** Rounds of the other thread's calls. */
const REPEATS = 2000;
/** Rounds of calls that enable and disable the line; each of these waits until no handler runs. */
const SLOW_REPEATS = 400;
const QUIET_MS = 50;

/** Masking, triggering and enabling INTx against a device that raises it at the same time. */
export function intxRaceSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_intx_race", target, (address) => {
    requireMode(mode);

    const races: Readonly<Record<string, (intx: InterruptIndex) => SetIrqs[]>> = {
      mask_and_unmask: (intx) => [request(intx, "mask"), request(intx, "unmask")],
      software_trigger: (intx) => [request(intx, "trigger")],
      eventfd_replaced: (intx) => [{ ...request(intx, "trigger"), data: { eventfds: [intx.vector(0).fd] } }],
      disabled_and_enabled: (intx) => [
        { ...request(intx, "trigger"), count: 0 },
        { ...request(intx, "trigger"), data: { eventfds: [intx.vector(0).fd] } },
      ],
    };

    it("raise_against_unmask_eventfd_and_disable", async () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      const { intx } = device.interrupts;
      const source = requireIntxSource(device);
      using unmask = new Eventfd("unmask");
      intx.enable();
      source.prepare();
      const { fd } = intx.vector(0);
      // The other thread disables the line, enables it and gives it the unmask eventfd, again and again.
      await using racer = Racer.start(
        [
          { ...request(intx, "trigger"), count: 0 },
          { ...request(intx, "trigger"), data: { eventfds: [fd] } },
          { ...request(intx, "unmask"), data: { eventfds: [unmask.fd] } },
        ].map((call) => callOf(device, call)),
      );
      let rounds = 0;
      let signalled = 0n;
      racer.race(SLOW_REPEATS, () => {
        while (racer.running) {
          source.raise();
          unmask.signal();
          source.acknowledge();
          unmask.signal();
          rounds++;
          signalled += intx.vector(0).tryRead() ?? 0n;
        }
      });
      note(`${rounds} rounds, ${signalled} signalled while the other thread made ${SLOW_REPEATS} times three calls`);
      for (const call of [0, 1, 2]) {
        expect([call, racer.result(call)]).toEqual([call, { succeeded: SLOW_REPEATS, failed: 0, errors: [] }]);
      }
      // Afterwards the line is neither stuck nor lost, and the eventfd unmasks it.
      unmask.tryRead();
      source.acknowledge();
      unmask.signal();
      sleepSync(QUIET_MS);
      intx.vector(0).tryRead();
      for (let round = 0; round < 3; round++) {
        source.raise();
        expect(intx.vector(0).waitSync()).toBe(1n);
        source.acknowledge();
        unmask.signal();
        assertNoInterrupt(intx.vector(0), { withinMs: QUIET_MS });
      }
    });

    for (const [name, calls] of Object.entries(races)) {
      const repeats = name === "disabled_and_enabled" ? SLOW_REPEATS : REPEATS;
      it(`raise_against_${name}`, async () => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, address);
        const { intx } = device.interrupts;
        const source = requireIntxSource(device);
        intx.enable();
        source.prepare();
        await using racer = Racer.start(calls(intx).map((call) => callOf(device, call)));
        let raised = 0;
        let signalled = 0n;
        racer.race(repeats, () => {
          while (racer.running) {
            source.raise();
            source.acknowledge();
            raised++;
            signalled += intx.vector(0).tryRead() ?? 0n;
          }
        });
        note(`${raised} raised, ${signalled} signalled while the other thread made ${repeats} calls`);
        expect(raised).toBeGreaterThan(0);

        // Afterwards the line is neither stuck nor lost.
        source.acknowledge();
        device.vfio.setIrqs({ ...request(intx, "trigger"), data: { eventfds: [intx.vector(0).fd] } });
        intx.unmask();
        sleepSync(QUIET_MS);
        intx.vector(0).tryRead();
        for (let round = 0; round < 3; round++) {
          source.raise();
          expect(intx.vector(0).waitSync()).toBe(1n);
          source.acknowledge();
          intx.unmask();
          assertNoInterrupt(intx.vector(0), { withinMs: QUIET_MS });
        }
      });
    }
  });
}

function request(intx: InterruptIndex, action: SetIrqs["action"]): SetIrqs {
  return { index: intx.index, action, start: 0, count: 1 };
}

function callOf(device: PciDevice, setIrqs: SetIrqs): RacerCall {
  return { file: deviceFileOf(device.vfio), ...encodeIoctl(requests.setIrqs, setIrqs) };
}

import type { PciDevice } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import { DmaLog } from "@vfio-selftests/core/migration";
import {
  VFIO_DEVICE_STATE_ERROR as ERROR,
  VFIO_DEVICE_STATE_PRE_COPY as PRE_COPY,
  VFIO_DEVICE_STATE_RESUMING as RESUMING,
  VFIO_DEVICE_STATE_RUNNING as RUNNING,
  VFIO_DEVICE_STATE_STOP as STOP,
  VFIO_DEVICE_STATE_STOP_COPY as STOP_COPY,
} from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, requireMode } from "@vfio-selftests/harness";
import { migrationOf, MovingRig, untouchedData } from "../rigs/device/moving-rig";
import { DriverRig } from "../rigs/dma/driver-rig";
import { codeOfError } from "../rigs/raw/code-of-error";
import type { SuiteTarget } from "../suite-target";
import { stateRules } from "./state-rules";

/** Of configuration space: has no effect, and software may write it. */
const INTERRUPT_LINE = 0x3c;
/** Repeats of a copy, enough to be stopped before its end. */
const REPEATS = 500;

/** A device of a vfio-user server that moves to another, by the rules of the kernel's. */
export function modelMigrationSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);
  if (mode.traits.api !== "user") return;

  fixture("vfio_migration", target, (address) => {
    requireMode(mode);
    const open = (): MovingRig => new MovingRig(mode, address);
    const saved = (): Uint8Array => untouchedData(mode, address);

    it("tells_what_it_can", () => {
      using rig = open();
      expect(rig.migration.features()).toEqual({ p2p: false, preCopy: true });
      expect(rig.state()).toEqual({ code: "ok", state: RUNNING, fd: -1 });
    });

    describe("state", () => {
      stateRules({ make: open, saved, p2p: false, byFile: false });

      it("is_running_again_after_a_reset", () => {
        using rig = open();
        rig.migration.setState(STOP_COPY);
        rig.device.reset();
        expect(rig.state().state).toBe(RUNNING);
        expect(codeOfError(() => rig.migration.read(new Uint8Array(8)))).toBe("EINVAL");
      });
    });

    it("moves_registers_and_bytes_to_another_device", () => {
      using source = open();
      using destination = open();
      source.device.config.write8(INTERRUPT_LINE, 0x5a);
      source.migration.setState(STOP_COPY);
      const data = source.migration.readAll();
      destination.migration.setState(RESUMING);
      destination.fill(data);
      destination.migration.setState(STOP);
      expect(destination.device.config.read8(INTERRUPT_LINE)).toBe(0x5a);
      expectSameRegions(source.device, destination.device);
      for (const { migration } of [source, destination]) migration.setState(RUNNING);
    });

    it("sends_what_is_there_while_it_runs_and_the_rest_when_it_stops", () => {
      using source = open();
      source.migration.setState(PRE_COPY);
      const ahead = source.migration.readAll();
      expect(ahead.length).toBeGreaterThan(0);
      source.device.config.write8(INTERRUPT_LINE, 0x3c);
      source.migration.setState(STOP_COPY);
      const rest = source.migration.readAll();
      using destination = open();
      destination.migration.setState(RESUMING);
      destination.fill(ahead);
      destination.fill(rest);
      destination.migration.setState(RUNNING);
      expect(destination.device.config.read8(INTERRUPT_LINE)).toBe(0x3c);
    });

    it("refuses_data_that_are_not_its_own", () => {
      const data = saved();
      for (const at of [0, 30, 100, data.length - 1]) {
        using rig = open();
        rig.device.config.write8(INTERRUPT_LINE, 0x77);
        const altered = Uint8Array.from(data);
        altered[at] = ~(altered[at] ?? 0);
        rig.migration.setState(RESUMING);
        expect([at, codeOfError(() => rig.fill(altered))]).toEqual([at, "EINVAL"]);
        expect(rig.setState(RUNNING).code).toBe("EINVAL");
        expect(rig.state().state).toBe(ERROR);
        for (const state of [RUNNING, STOP, RESUMING]) expect(rig.setState(state).code).toBe("EINVAL");
        expect(rig.device.config.read8(INTERRUPT_LINE)).toBe(0x77);
        rig.device.reset();
        expect(rig.state().state).toBe(RUNNING);
      }
    });

    it("waits_for_the_rest_of_data_that_are_cut_short", () => {
      const data = saved();
      using rig = open();
      rig.migration.setState(RESUMING);
      rig.fill(data.subarray(0, data.length - 1));
      expect(rig.setState(RUNNING).code).toBe("EINVAL");
      expect(rig.state().state).toBe(RESUMING);
      rig.fill(data.subarray(data.length - 1));
      expect(codeOfError(() => rig.fill(Uint8Array.of(0)))).toBe("EINVAL");
      expect(rig.setState(RUNNING).code).toBe("ok");
    });

    it("a_copy_goes_to_another_device_and_back", () => {
      using rig = DriverRig.open(target, mode, address);
      using here = migrationOf(rig.device);
      using other = rig.openSecond(address);
      using there = migrationOf(other);
      const area = { start: rig.destination.iova, last: rig.destination.iova + BigInt(rig.oneCopy) - 1n };
      using hereLog = new DmaLog(rig.device.vfio, { ranges: [area] });
      using thereLog = new DmaLog(other.vfio, { ranges: [area] });
      for (let i = 0; i < rig.oneCopy; i += 1) rig.source.bytes[i] = (i * 31) ^ (i >> 9);
      const repeats = Math.min(REPEATS, rig.session.limits.maxMemcpyCount);
      rig.session.memcpyStart(rig.source.iova, rig.destination.iova, rig.oneCopy, repeats);
      here.setState(STOP_COPY);
      const data = here.readAll();
      hereLog.report(area);
      there.setState(RESUMING);
      there.write(data);
      there.setState(STOP);
      expectSameRegions(rig.device, other);
      expect(thereLog.report(area)).toEqual([]);
      there.setState(RUNNING);
      pollUntil(() => thereLog.report(area).length > 0, {
        what: "a page that it wrote",
        subject: address,
        timeoutMs: 5000,
      });
      there.setState(STOP_COPY);
      rig.destination.bytes.fill(0);
      // Only the other device has worked meanwhile.
      expect(hereLog.report(area)).toEqual([]);
      const back = there.readAll();
      here.setState(RESUMING);
      here.write(back);
      here.setState(RUNNING);
      rig.session.memcpyWait();
      const copied = rig.destination.bytes.subarray(0, rig.oneCopy);
      expect(Buffer.compare(copied, rig.source.bytes.subarray(0, rig.oneCopy))).toBe(0);
    });
  });
}

/** Every byte of every region that can be read. */
function expectSameRegions(one: PciDevice, other: PciDevice): void {
  for (let index = 0; index < one.vfio.info.regionCount; index += 1) {
    const { size, readable } = one.vfio.regionInfo(index);
    if (size === 0 || !readable) continue;
    const [first, second] = [one, other].map(({ vfio }) => {
      const bytes = new Uint8Array(size);
      vfio.readRegion(index, 0, bytes);
      return Buffer.from(bytes);
    });
    expect([index, second?.toString("hex")]).toEqual([index, first?.toString("hex")]);
  }
}

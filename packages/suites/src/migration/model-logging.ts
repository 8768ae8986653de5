import type { IommuMode, IovaRange } from "@vfio-selftests/core";
import { DmaLog } from "@vfio-selftests/core/migration";
import { defaultMode, fixture, requireMode } from "@vfio-selftests/harness";
import { migrationOf, MovingRig } from "../rigs/device/moving-rig";
import { DriverRig } from "../rigs/dma/driver-rig";
import { codeOfError } from "../rigs/raw/code-of-error";
import type { SuiteTarget } from "../suite-target";
import { DeviceLog } from "./device-log";
import { loggingRules } from "./logging-rules";

const PAGE = 4096;

/** What a device of a vfio-user server tells of the pages that it wrote. */
export function modelLoggingSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);
  if (mode.traits.api !== "user") return;

  fixture("vfio_dma_logging", target, (address) => {
    requireMode(mode);

    // "A value of zero indicates that all writes should be logged."
    loggingRules({ make: () => modelLog(mode, address), noRange: "ok" });

    it("tells_every_page_that_a_copy_wrote_and_no_other", () => {
      using rig = DriverRig.open(target, mode, address);
      migrationOf(rig.device);
      const { region } = rig.session;
      const whole = (iova: bigint, bytes: number): IovaRange => ({ start: iova, last: iova + BigInt(bytes) - 1n });
      const areas = [whole(rig.source.iova, rig.size), whole(rig.destination.iova, rig.size)];
      const own = whole(region.iova, region.length);
      using log = new DmaLog(rig.device.vfio, { ranges: [...areas, own] });
      const pages = (...numbers: number[]) => numbers.map((page) => rig.destination.iovaOf(page * PAGE));
      const copies: readonly (readonly [offset: number, bytes: number, ...pages: number[]])[] = [
        [0, PAGE, 0],
        [2 * PAGE, 2 * PAGE, 2, 3],
        [5 * PAGE + 8 * 64, PAGE, 5, 6],
        [9 * PAGE + 64, 64, 9],
      ];
      for (const [offset, bytes, ...written] of copies) {
        rig.session.memcpySync(rig.source.iova, rig.destination.iovaOf(offset), bytes);
        const [source, destination] = areas.map((area) => log.report(area));
        expect([source, destination]).toEqual([[], pages(...written)]);
      }
      // Its completions, in its own region, and nothing twice.
      expect(log.report(own).length).toBeGreaterThan(0);
      expect([...areas, own].flatMap((area) => log.report(area))).toEqual([]);
      rig.session.memcpySync(rig.source.iova, rig.destination.iova, rig.size);
      expect(areas.map((area) => log.report(area).length)).toEqual([0, rig.size / PAGE]);
    });
  });
}

function modelLog(mode: IommuMode, address: string): DeviceLog {
  const rig = new MovingRig(mode, address);
  return new DeviceLog(rig, ({ flags, payload, links }) =>
    codeOfError(() => rig.device.vfio.feature(flags, payload, links)),
  );
}

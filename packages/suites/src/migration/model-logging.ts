import { DmaLog, type IovaRange } from "@vfio-selftests/core";
import {
  vfio_device_feature_dma_logging_control,
  vfio_device_feature_dma_logging_range,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT as LOGGING_REPORT,
  vfio_device_feature_dma_logging_report,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START as LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP as LOGGING_STOP,
  VFIO_DEVICE_FEATURE_GET as GET,
  VFIO_DEVICE_FEATURE_SET as SET,
} from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, requireMode } from "@vfio-selftests/harness";
import { DriverRig } from "../rigs/driver-rig";
import { codeOf, migrationOf, MovingRig } from "../rigs/moving-rig";
import { bytesOf } from "../rigs/raw/ask-kernel";
import type { SuiteTarget } from "../suite-target";
import { type LoggingRig, loggingRules } from "./logging-rules";

const PAGE = 4096;

/** What a device of a vfio-user server tells of the pages that it wrote. */
export function modelLoggingSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);
  if (mode.traits.api !== "user") return;

  fixture("vfio_dma_logging", target, (address) => {
    requireMode(mode);

    // "A value of zero indicates that all writes should be logged."
    loggingRules({ make: () => new ModelLog(new MovingRig(mode, address)), noRange: "ok" });

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

class ModelLog implements LoggingRig {
  readonly #rig: MovingRig;

  constructor(rig: MovingRig) {
    this.#rig = rig;
  }

  start(pairs: readonly bigint[]): string {
    const layout = vfio_device_feature_dma_logging_control;
    const bytes = new Uint8Array(BigUint64Array.from(pairs.map((value) => BigInt.asUintN(64, value))).buffer);
    const num_ranges = bytes.length / vfio_device_feature_dma_logging_range.size;
    const payload = bytesOf(layout, { page_size: BigInt(PAGE), num_ranges });
    const links = bytes.length === 0 ? [] : [{ offset: layout.fields.ranges.offset, bytes }];
    return codeOf(() => this.#rig.device.vfio.feature(LOGGING_START | SET, payload, links));
  }

  report(iova: bigint, length: bigint, page_size: bigint, bitmap: Uint8Array): string {
    const layout = vfio_device_feature_dma_logging_report;
    const payload = bytesOf(layout, { iova, length, page_size });
    const links = [{ offset: layout.fields.bitmap.offset, bytes: bitmap }];
    return codeOf(() => this.#rig.device.vfio.feature(LOGGING_REPORT | GET, payload, links));
  }

  stop(): string {
    return codeOf(() => this.#rig.device.vfio.feature(LOGGING_STOP | SET, new Uint8Array(0)));
  }

  [Symbol.dispose](): void {
    this.#rig[Symbol.dispose]();
  }
}

import {
  vfio_device_feature_dma_logging_control,
  vfio_device_feature_dma_logging_range,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT as LOGGING_REPORT,
  vfio_device_feature_dma_logging_report,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START as LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP as LOGGING_STOP,
  VFIO_DEVICE_FEATURE_GET as GET,
  VFIO_DEVICE_FEATURE_PROBE as PROBE,
  VFIO_DEVICE_FEATURE_SET as SET,
} from "@vfio-selftests/core/uapi";
import { requireMode } from "@vfio-selftests/harness";
import { MigrationRig } from "../rigs/mediated/migration-rig";
import type { SerialCard } from "../rigs/mediated/serial-card";
import { bytesOf, NO_ADDRESS } from "../rigs/raw/ask-kernel";
import type { SuiteTarget } from "../suite-target";

/** LOG_MAX_RANGES (drivers/vfio/vfio_main.c) on machines with pages of 4 KiB. */
const MOST_RANGES = 256;
const PAGE = 4096n;
const FILL = 0xa5;

/** What a device tells of the pages that it wrote. On the kernel's sample device, which makes no DMA. */
export function dmaLoggingSuite(target: SuiteTarget): void {
  const mode = target.modes.find(({ traits }) => traits.api === "iommufd" && traits.container === undefined);
  if (mode === undefined) return;

  describe("vfio_dma_logging", () => {
    requireMode(mode);

    const range = (iova: bigint, length: bigint): bigint[] => [iova, length];
    const started: Readonly<Record<string, readonly [code: string, ranges: readonly bigint[], values?: object]>> = {
      one_range: ["ok", range(0n, PAGE)],
      adjacent_ranges: ["ok", [...range(PAGE, PAGE), ...range(0n, PAGE)]],
      as_many_ranges_as_fit_a_page: ["ok", ranges(MOST_RANGES)],
      one_range_more: ["E2BIG", ranges(MOST_RANGES + 1)],
      no_range: ["EINVAL", []],
      start_between_pages: ["EINVAL", range(512n, PAGE)],
      length_between_pages: ["EINVAL", range(0n, PAGE + 512n)],
      second_range_between_pages: ["EINVAL", [...range(0n, PAGE), ...range(2n * PAGE, 1n)]],
      overlapping_ranges: ["EINVAL", [...range(0n, 2n * PAGE), ...range(PAGE, PAGE)]],
      end_beyond_64_bits: ["EOVERFLOW", range(-PAGE, 2n * PAGE)],
    };
    for (const [name, [code, given]] of Object.entries(started)) {
      it(`${code === "ok" ? "takes" : "refuses"}_${name}`, () => {
        using rig = new MigrationRig();
        expect(start(rig.card, given)).toBe(code);
        expect(rig.card.feature(LOGGING_STOP | SET).code).toBe("ok");
      });
    }

    it("refuses_ranges_that_cannot_be_read", () => {
      using rig = new MigrationRig();
      const values = { page_size: PAGE, num_ranges: 1, ranges: NO_ADDRESS };
      const asked = bytesOf(vfio_device_feature_dma_logging_control, values);
      expect(rig.card.feature(LOGGING_START | SET, asked).code).toBe("EFAULT");
    });

    const reports: Readonly<Record<string, readonly [code: string, iova: bigint, length: bigint, pageSize: bigint]>> = {
      written_pages: ["ok", 0n, 64n * PAGE, PAGE],
      larger_pages: ["ok", 0n, 64n * PAGE, 4n * PAGE],
      pages_below_4_kib: ["EINVAL", 0n, 64n * PAGE, 2048n],
      pages_of_no_power_of_two: ["EINVAL", 0n, 64n * PAGE, 3n * PAGE],
      end_beyond_64_bits: ["EOVERFLOW", -PAGE, 2n * PAGE, PAGE],
    };
    for (const [name, [code, iova, length, pageSize]] of Object.entries(reports)) {
      it(`${code === "ok" ? "reports" : "reports_no"}_${name}`, () => {
        using rig = new MigrationRig();
        expect(start(rig.card, range(0n, 64n * PAGE))).toBe("ok");
        const bitmap = new Uint8Array(8).fill(FILL);
        expect(report(rig.card, iova, length, pageSize, bitmap)).toBe(code);
        // A device that makes no DMA has written nothing, and what the caller's bitmap held stays.
        expect([...bitmap]).toEqual(Array.from({ length: 8 }, () => FILL));
      });
    }

    it("refuses_malformed_requests", () => {
      using rig = new MigrationRig();
      const ask = (flags: number, size: number) => rig.card.feature(flags, new Uint8Array(size)).code;
      const { size: control } = vfio_device_feature_dma_logging_control;
      const { size: asked } = vfio_device_feature_dma_logging_report;
      expect([ask(LOGGING_START | GET, control), ask(LOGGING_START | SET, control - 1)]).toEqual(["EINVAL", "EINVAL"]);
      expect([ask(LOGGING_STOP | GET, 0), ask(LOGGING_STOP | SET | PROBE, 0)]).toEqual(["EINVAL", "ok"]);
      expect([ask(LOGGING_REPORT | SET, asked), ask(LOGGING_REPORT | GET, asked - 1)]).toEqual(["EINVAL", "EINVAL"]);
      expect([ask(LOGGING_START | SET | PROBE, control), ask(LOGGING_REPORT | GET | PROBE, asked)]).toEqual([
        "ok",
        "ok",
      ]);
    });
  });
}

function ranges(count: number): bigint[] {
  return Array.from({ length: count }, (_, index) => [BigInt(index) * 2n * PAGE, PAGE]).flat();
}

/** VFIO_DEVICE_FEATURE_DMA_LOGGING_START of these pairs of IOVA and length. */
function start(card: SerialCard, pairs: readonly bigint[]): string {
  const layout = vfio_device_feature_dma_logging_control;
  const bytes = new Uint8Array(BigUint64Array.from(pairs.map((value) => BigInt.asUintN(64, value))).buffer);
  const values = { page_size: PAGE, num_ranges: bytes.length / vfio_device_feature_dma_logging_range.size };
  const links = bytes.length === 0 ? {} : { [layout.fields.ranges.offset]: bytes };
  return card.feature(LOGGING_START | SET, bytesOf(layout, values), links).code;
}

function report(card: SerialCard, iova: bigint, length: bigint, page_size: bigint, bitmap: Uint8Array): string {
  const layout = vfio_device_feature_dma_logging_report;
  const asked = bytesOf(layout, { iova, length, page_size });
  return card.feature(LOGGING_REPORT | GET, asked, { [layout.fields.bitmap.offset]: bitmap }).code;
}

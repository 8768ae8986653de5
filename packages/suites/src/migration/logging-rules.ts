const PAGE = 4096n;
/** LOG_MAX_RANGES (drivers/vfio/vfio_main.c) on machines with pages of 4 KiB. */
const MOST_RANGES = 256;

/** A device that logs its writes. Each method gives `ok` or the errno's name. */
export interface LoggingRig extends Disposable {
  /** VFIO_DEVICE_FEATURE_DMA_LOGGING_START of these pairs of IOVA and length. */
  start(pairs: readonly bigint[]): string;
  report(iova: bigint, length: bigint, pageSize: bigint, bitmap: Uint8Array): string;
  stop(): string;
}

export interface LoggingRules {
  readonly make: () => LoggingRig;
  /** What a start without any range is: vfio-user's specification then has every write logged. */
  readonly noRange: "EINVAL" | "ok";
}

const FILL = 0xa5;

/** What vfio_ioctl_device_feature_logging_start and _report take and refuse. The device makes no DMA. */
export function loggingRules({ make, noRange }: LoggingRules): void {
  const range = (iova: bigint, length: bigint): bigint[] => [iova, length];
  const started: Readonly<Record<string, readonly [code: string, ranges: readonly bigint[]]>> = {
    one_range: ["ok", range(0n, PAGE)],
    adjacent_ranges: ["ok", [...range(PAGE, PAGE), ...range(0n, PAGE)]],
    as_many_ranges_as_fit_a_page: ["ok", ranges(MOST_RANGES)],
    one_range_more: ["E2BIG", ranges(MOST_RANGES + 1)],
    no_range: [noRange, []],
    start_between_pages: ["EINVAL", range(512n, PAGE)],
    length_between_pages: ["EINVAL", range(0n, PAGE + 512n)],
    second_range_between_pages: ["EINVAL", [...range(0n, PAGE), ...range(2n * PAGE, 1n)]],
    overlapping_ranges: ["EINVAL", [...range(0n, 2n * PAGE), ...range(PAGE, PAGE)]],
    end_beyond_64_bits: ["EOVERFLOW", range(-PAGE, 2n * PAGE)],
  };
  for (const [name, [code, given]] of Object.entries(started)) {
    it(`${code === "ok" ? "takes" : "refuses"}_${name}`, () => {
      using rig = make();
      expect(rig.start(given)).toBe(code);
      expect(rig.stop()).toBe("ok");
    });
  }

  const reports: Readonly<Record<string, readonly [code: string, iova: bigint, length: bigint, pageSize: bigint]>> = {
    written_pages: ["ok", 0n, 64n * PAGE, PAGE],
    larger_pages: ["ok", 0n, 64n * PAGE, 4n * PAGE],
    pages_below_4_kib: ["EINVAL", 0n, 64n * PAGE, 2048n],
    pages_of_no_power_of_two: ["EINVAL", 0n, 64n * PAGE, 3n * PAGE],
    end_beyond_64_bits: ["EOVERFLOW", -PAGE, 2n * PAGE, PAGE],
  };
  for (const [name, [code, iova, length, pageSize]] of Object.entries(reports)) {
    it(`${code === "ok" ? "reports" : "reports_no"}_${name}`, () => {
      using rig = make();
      expect(rig.start(range(0n, 64n * PAGE))).toBe("ok");
      const bitmap = new Uint8Array(16).fill(FILL);
      expect(rig.report(iova, length, pageSize, bitmap)).toBe(code);
      // A device that makes no DMA has written nothing, and what the caller's bitmap held stays.
      expect([...bitmap]).toEqual(Array.from({ length: 16 }, () => FILL));
      expect(rig.stop()).toBe("ok");
    });
  }
}

function ranges(count: number): bigint[] {
  return Array.from({ length: count }, (_, index) => [BigInt(index) * 2n * PAGE, PAGE]).flat();
}

import { DriverBench } from "../driver-bench";
import { DEFAULT_TIMEOUT_MS, fixture, requireMode } from "../fixture";
import { PseudoRandom } from "../pseudo-random";
import { defaultMode, type SuiteTarget } from "../suite-target";

/** Set: the example is part of the run, and the run fails. */
const FAILING_EXAMPLE = "VFIO_SELFTESTS_FAILING_EXAMPLE";

const SEED = 0xbad;
const SIZE = 64;

/** Where a byte of the expected data is wrong; undefined: nowhere. */
const CASES: Readonly<Record<string, number | undefined>> = { data_is_intact: undefined, wrong_on_purpose: 17 };

/** One copy that passes and one that fails on purpose, to show what a failure looks like (docs/failing-example.md). */
export function failingExampleSuite(target: SuiteTarget): void {
  if (process.env[FAILING_EXAMPLE] === undefined) return;
  const mode = defaultMode(target);

  fixture("vfio_failing_example", target, (address) => {
    requireMode(mode);

    for (const [name, wrongAt] of Object.entries(CASES)) {
      it(
        name,
        () => {
          using bench = DriverBench.open(target, mode, address, { largestCopy: 4096 });
          const source = bench.source.bytes.subarray(0, SIZE);
          new PseudoRandom(SEED).fill(source);
          bench.session.memcpySync(bench.source.iova, bench.destination.iova, SIZE);

          const expected = [...source];
          if (wrongAt !== undefined) expected[wrongAt] = (expected[wrongAt] ?? 0) ^ 0xff;
          const arrived = bench.destination.bytes.subarray(0, SIZE);
          const firstWrong = expected.findIndex((byte, index) => byte !== arrived[index]);
          expect({ seed: SEED, iova: bench.destination.iova, firstWrong }).toEqual({
            seed: SEED,
            iova: bench.destination.iova,
            firstWrong: -1,
          });
        },
        DEFAULT_TIMEOUT_MS,
      );
    }
  });
}

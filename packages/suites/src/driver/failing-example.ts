import { defaultMode, fixture, requireMode } from "@vfio-selftests/harness";
import { DriverRig } from "../rigs/dma/driver-rig";
import { PseudoRandom } from "../rigs/dma/pseudo-random";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";

const SEED = 0xbad;
const SIZE = 64;

/** The offset at which each test makes a byte of the expected data wrong; undefined: nowhere. */
const CASES: Readonly<Record<string, number | undefined>> = { data_is_intact: undefined, wrong_on_purpose: 17 };

/** One copy that passes and one that fails on purpose, to show what a failure looks like (docs/failing-example.md). */
export function failingExampleSuite(target: SuiteTarget): void {
  if (target.failingExample !== true) return;
  const mode = defaultMode(target);

  fixture("vfio_failing_example", target, (address) => {
    requireMode(mode);

    for (const [name, wrongAt] of Object.entries(CASES)) {
      it(name, () => {
        using rig = DriverRig.open(target, mode, address, { largestCopy: PAGE_SIZE });
        const source = rig.source.bytes.subarray(0, SIZE);
        new PseudoRandom(SEED).fill(source);
        rig.session.memcpySync(rig.source.iova, rig.destination.iova, SIZE);

        const expected = [...source];
        if (wrongAt !== undefined) expected[wrongAt] = (expected[wrongAt] ?? 0) ^ 0xff;
        const arrived = rig.destination.bytes.subarray(0, SIZE);
        const firstWrong = expected.findIndex((byte, index) => byte !== arrived[index]);
        expect({ seed: SEED, iova: rig.destination.iova, firstWrong }).toEqual({
          seed: SEED,
          iova: rig.destination.iova,
          firstWrong: -1,
        });
      });
    }
  });
}

import type { IommuMode, ModeTraits } from "@vfio-selftests/core";
import { DriverRegistry } from "@vfio-selftests/core/driver";
import { collectTests, selectTests, type TargetOptions, type TestIdentity } from "@vfio-selftests/harness";
import { iommuModes } from "@vfio-selftests/iommu-modes";
import { defineSuites, kernelTargetWith } from "@vfio-selftests/suites";
import { chooseFilter, noTestMatches, requireNamed } from "../run/choose-filter";
import { namedTarget } from "../run/run-options";
import type { LabRunOptions } from "./options";

/** Throws where no test in the VM can match, or have an id of `-r`, so that nothing boots for it. A shard may be empty. */
export async function requireTest(options: LabRunOptions): Promise<void> {
  const { shard: _shard, ...filter } = await chooseFilter(options);
  const tests = guestTests(namedTarget(options));
  requireNamed(options, tests);
  if (selectTests(tests, filter).length === 0) throw noTestMatches(options);
}

/**
 * The tests that a run in the VM can have. Suites decide without asking a device what tests there are, and so these are
 * known here: by the modes, and by what else the options say. Two things depend on the VM's kernel, so there are the tests
 * of each case: what `auto` stands for, and whether a mode maps registers.
 */
export function guestTests(options: TargetOptions): readonly TestIdentity[] {
  const { modes } = options;
  const choices = modes.includes(AUTO)
    ? iommuModes.map(({ name }) => modes.map((mode) => (mode === AUTO ? name : mode)))
    : [modes];
  return choices.flatMap((choice) => {
    const named = { ...options, modes: [...new Set(choice)], devices: [], lab: true };
    const target = kernelTargetWith(named, { drivers: new DriverRegistry() });
    return [true, false].flatMap((mapsRegisters) => {
      const modes = target.modes.map((mode) => withTraits(mode, { mapsRegisters }));
      return collectTests(() => defineSuites({ ...target, modes }));
    });
  });
}

function withTraits(mode: IommuMode, traits: Partial<ModeTraits>): IommuMode {
  return Object.create(mode, { traits: { value: { ...mode.traits, ...traits } } }) as IommuMode;
}

const AUTO = "auto";

import type { IommuMode, ModeTraits } from "@vfio-selftests/core";
import type { Target } from "@vfio-selftests/harness";

/** The target's modes with this interface, in the run's order. A run may name none of them. */
export function modesOf({ modes }: Pick<Target, "modes">, api: ModeTraits["api"]): readonly IommuMode[] {
  return modes.filter(({ traits }) => traits.api === api);
}

/** The same target with the modes of this interface alone. */
export function inModesOf<Given extends Pick<Target, "modes">>(target: Given, api: ModeTraits["api"]): Given {
  return { ...target, modes: modesOf(target, api) };
}

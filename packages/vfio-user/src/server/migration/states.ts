import {
  VFIO_DEVICE_STATE_PRE_COPY as PRE_COPY,
  VFIO_DEVICE_STATE_RESUMING as RESUMING,
  VFIO_DEVICE_STATE_RUNNING as RUNNING,
  VFIO_DEVICE_STATE_STOP as STOP,
  VFIO_DEVICE_STATE_STOP_COPY as STOP_COPY,
} from "@vfio-selftests/core/uapi";

/** The arcs of the specification ("Direct State Transitions"). The P2P states do not exist in vfio-user. */
const ARCS: readonly (readonly [from: number, to: number])[] = [
  [RUNNING, STOP],
  [RUNNING, PRE_COPY],
  [PRE_COPY, RUNNING],
  [PRE_COPY, STOP_COPY],
  [STOP, RUNNING],
  [STOP, STOP_COPY],
  [STOP, RESUMING],
  [STOP_COPY, STOP],
  [RESUMING, STOP],
];

/** "The path cannot have saving group states as interior arcs, only start/end states." */
const SAVING: readonly number[] = [PRE_COPY, STOP_COPY];

/** States in which a device neither moves nor interrupts; ERROR is one, too. */
export function isStopped(state: number): boolean {
  return state !== RUNNING && state !== PRE_COPY;
}

/** States in which a device's data can be read. */
export function isSaving(state: number): boolean {
  return SAVING.includes(state);
}

/**
 * The states to go through from `from` to `to`, the last of them `to`: the shortest way. Empty if the device is there.
 * Undefined if there is no way: to and from ERROR, to a state that does not exist, and from STOP_COPY to PRE_COPY,
 * which the specification rules out.
 */
export function pathOf(from: number, to: number): readonly number[] | undefined {
  if (from === STOP_COPY && to === PRE_COPY) return undefined;
  if (!ARCS.some(([, state]) => state === from) || !ARCS.some(([, state]) => state === to)) return undefined;
  const paths = new Map<number, readonly number[]>([[from, []]]);
  for (const [state, path] of paths) {
    if (state === to) return path;
    if (state !== from && isSaving(state)) continue;
    for (const [start, end] of ARCS) {
      if (start === state && !paths.has(end)) paths.set(end, [...path, end]);
    }
  }
  return undefined;
}

import {
  VFIO_DEVICE_STATE_ERROR as ERROR,
  VFIO_DEVICE_STATE_PRE_COPY as PRE_COPY,
  VFIO_DEVICE_STATE_PRE_COPY_P2P as PRE_COPY_P2P,
  VFIO_DEVICE_STATE_RESUMING as RESUMING,
  VFIO_DEVICE_STATE_RUNNING as RUNNING,
  VFIO_DEVICE_STATE_RUNNING_P2P as RUNNING_P2P,
  VFIO_DEVICE_STATE_STOP as STOP,
  VFIO_DEVICE_STATE_STOP_COPY as STOP_COPY,
} from "@vfio-selftests/core/uapi";

/** By the names that debugfs shows. */
export const STATES = { STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P } as const;
export type State = keyof typeof STATES;

/** States in which the device's data go through a file. */
const WITH_FILE: readonly State[] = ["STOP_COPY", "RESUMING", "PRE_COPY", "PRE_COPY_P2P"];
const PRE_COPYING: readonly State[] = ["PRE_COPY", "PRE_COPY_P2P"];

/** What the device says to a change of its state. */
export interface StateAnswer {
  /** `ok`, or the errno's name. */
  readonly code: string;
  readonly state: number;
  /** The descriptor of the device's data; -1 where there is none, as always where they go by messages. */
  readonly fd: number;
}

/** A device whose state a test may change. */
export interface StateRig extends Disposable {
  state(): StateAnswer;
  setState(state: number): StateAnswer;
  reset(): void;
  /** Writes data that a device saved. */
  fill(data: Uint8Array): void;
}

export interface StateRules {
  readonly make: () => StateRig;
  /** What a device gives that did nothing yet. */
  readonly saved: () => Uint8Array;
  /** Whether the device has the states of P2P. */
  readonly p2p: boolean;
  /** Whether data come by a file of their own. */
  readonly byFile: boolean;
}

/** The rules of `enum vfio_device_mig_state` (linux/vfio.h): every way from state to state, and none elsewhere. */
export function stateRules({ make, saved, p2p, byFile }: StateRules): void {
  const all = Object.keys(STATES) as State[];
  const known = all.filter((name) => p2p || !name.endsWith("P2P"));

  for (const from of known) {
    it(`goes_from_${from.toLowerCase()}`, () => {
      const data = saved();
      using rig = make();
      for (const to of all) {
        rig.reset();
        expect(rig.setState(STATES[from]).code).toBe("ok");
        if (from === "RESUMING") rig.fill(data);
        const { code, fd } = rig.setState(STATES[to]);
        const blocked = !known.includes(to) || (from === "STOP_COPY" && PRE_COPYING.includes(to));
        const opens = byFile && !blocked && from !== to && WITH_FILE.includes(to) && !continues(from, to);
        expect([from, to, code, fd >= 0]).toEqual([from, to, blocked ? "EINVAL" : "ok", opens]);
        expect(rig.state().state).toBe(STATES[blocked ? from : to]);
      }
    });
  }

  it("is_never_one_that_does_not_exist", () => {
    using rig = make();
    for (const state of [ERROR, 8, 0xffff_ffff]) {
      expect(rig.setState(state)).toEqual({ code: "EINVAL", state, fd: -1 });
      expect(rig.state().state).toBe(RUNNING);
    }
  });
}

/** The file of the copy in advance stays until the copy ends. */
function continues(from: State, to: State): boolean {
  return PRE_COPYING.includes(from) && (PRE_COPYING.includes(to) || to === "STOP_COPY");
}

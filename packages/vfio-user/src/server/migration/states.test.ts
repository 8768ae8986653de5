import fc from "fast-check";
import { isSaving, pathOf } from "./states";

const NAMES = ["ERROR", "STOP", "RUNNING", "STOP_COPY", "RESUMING", "RUNNING_P2P", "PRE_COPY", "PRE_COPY_P2P"] as const;
type Name = (typeof NAMES)[number];

/** Written out by hand from the specification's arcs and rules: the states after the first. */
const WAYS: Readonly<Partial<Record<Name, Readonly<Partial<Record<Name, string>>>>>> = {
  STOP: { STOP: "", RUNNING: "RUNNING", STOP_COPY: "STOP_COPY", RESUMING: "RESUMING", PRE_COPY: "RUNNING PRE_COPY" },
  RUNNING: {
    STOP: "STOP",
    RUNNING: "",
    STOP_COPY: "STOP STOP_COPY",
    RESUMING: "STOP RESUMING",
    PRE_COPY: "PRE_COPY",
  },
  STOP_COPY: { STOP: "STOP", RUNNING: "STOP RUNNING", STOP_COPY: "", RESUMING: "STOP RESUMING" },
  RESUMING: {
    STOP: "STOP",
    RUNNING: "STOP RUNNING",
    STOP_COPY: "STOP STOP_COPY",
    RESUMING: "",
    PRE_COPY: "STOP RUNNING PRE_COPY",
  },
  PRE_COPY: {
    STOP: "RUNNING STOP",
    RUNNING: "RUNNING",
    STOP_COPY: "STOP_COPY",
    RESUMING: "RUNNING STOP RESUMING",
    PRE_COPY: "",
  },
};

describe.each(NAMES)("from %s", (from) => {
  test.each(NAMES)("to %s", (to) => {
    const path = pathOf(NAMES.indexOf(from), NAMES.indexOf(to));
    expect(path?.map((state) => NAMES[state]).join(" ")).toBe(WAYS[from]?.[to]);
  });
});

test("a state that does not exist cannot be reached, and no way leads through a saving state", () => {
  fc.assert(
    fc.property(fc.nat(7), fc.oneof(fc.nat(9), fc.nat(0xffff_ffff)), (from, to) => {
      const path = pathOf(from, to);
      if (to > 7) expect(path).toBeUndefined();
      expect(path?.slice(0, -1).filter(isSaving) ?? []).toEqual([]);
    }),
  );
});

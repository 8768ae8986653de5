import { type OwnErrorCode, VfioError } from "@vfio-selftests/core/errors";
import { reportError } from "./report-error";

test.each<[OwnErrorCode, number]>([
  ["ERR_NO_MODE", 1],
  ["ERR_INVALID_ARGUMENT", 2],
  ["ERR_LAB_BOOT", 3],
  ["ERR_LAB_GUEST_LOST", 1],
  ["ERR_NOTHING_TO_RUN", 4],
])("%s ends the command with %d", (code, expected) => {
  let text = "";
  const error = new VfioError("it failed", { code, operation: "lab run" });
  expect(reportError(error, (part) => (text += part))).toBe(expected);
  expect(text).toBe("vfio-selftests: it failed\n");
});

test("a machine for which no addon is installed is foreseen, and another error is not", () => {
  let text = "";
  const write = (part: string): string => (text += part);
  expect(reportError(Object.assign(new AggregateError([], "no addon"), { code: "ERR_NO_ADDON" }), write)).toBe(1);
  expect(reportError(new TypeError("a mistake"), write)).toBe(1);
  expect(text.split("\n").slice(0, 2)).toEqual(["vfio-selftests: no addon", "vfio-selftests: a mistake"]);
  expect(text.match(/not an error this program foresees/g)).toHaveLength(1);
});

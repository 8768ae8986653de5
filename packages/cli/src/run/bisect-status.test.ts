import { VfioError } from "@vfio-selftests/core";
import { bisectErrorStatus, bisectStatus, usageStatus } from "./bisect-status";

test.each([
  [0, 0],
  [1, 1],
  [2, 125],
  [4, 125],
  [124, 125],
  [125, 125],
  [130, 130],
])("the exit code %d is %d for git bisect run", (code, expected) => {
  expect(bisectStatus(code)).toBe(expected);
});

test("a kernel that goes down under the tests is bad, one that does not boot cannot be judged", () => {
  const error = (code: "ERR_LAB_GUEST_LOST" | "ERR_LAB_BOOT") => new VfioError("x", { code, operation: "lab run" });
  expect(bisectErrorStatus(error("ERR_LAB_GUEST_LOST"))).toBe(1);
  expect(bisectErrorStatus(error("ERR_LAB_BOOT"))).toBe(125);
  expect(bisectErrorStatus(new Error("disk full"))).toBe(125);
});

test("a wrong command line ends the bisection", () => {
  expect(usageStatus(["run", "--bisect", "--no-such-option"])).toBe(128);
  expect(usageStatus(["run", "--no-such-option"])).toBe(2);
});

import { VfioError } from "../errors/vfio-error";
import { Recovery } from "./recovery";

const failure = (): VfioError =>
  new VfioError("waited 5 ms for the end", { code: "ETIMEDOUT", operation: "memcpyWait", subject: "0000:01:00.0" });

it("brings the device up after an error, once, and gives the error back", () => {
  let times = 0;
  const recovery = new Recovery(() => void (times += 1));
  recovery.retry();
  expect(times).toBe(0);
  const error = failure();
  expect(recovery.after(error)).toBe(error);
  recovery.retry();
  expect([times, error.message]).toEqual([1, "waited 5 ms for the end"]);
});

it("tells of a recovery that failed in the first error, and tries again at each command until it works", () => {
  let broken = true;
  const recovery = new Recovery(() => {
    if (broken) throw new Error("bus mastering is off");
  });
  const error = failure();
  expect(recovery.after(error)).toBe(error);
  expect(error.message).toBe("waited 5 ms for the end\n  Recovery failed: bus mastering is off");
  expect(() => recovery.retry()).toThrow("bus mastering is off");
  broken = false;
  recovery.retry();
  broken = true;
  expect(() => recovery.retry()).not.toThrow();
});

it("gives back what is no VfioError as it is", () => {
  const recovery = new Recovery(() => {
    throw new Error("broken");
  });
  expect(recovery.after("reason")).toBe("reason");
});

import { pollUntil } from "./poll-until";

const options = { timeoutMs: 20, what: "CMDSTS.active to clear", subject: "0000:01:00.0" };

describe("pollUntil", () => {
  test("returns at once when the condition holds, even without time", () => {
    let asked = 0;
    pollUntil(() => ++asked > 0, { ...options, timeoutMs: 0 });
    expect(asked).toBe(1);
  });

  test("returns as soon as the condition holds, while polling and between pauses", () => {
    for (const wanted of [3, 2000]) {
      let asked = 0;
      pollUntil(() => ++asked >= wanted || performance.now() > Infinity, {
        ...options,
        timeoutMs: 10_000,
        spinMicroseconds: wanted === 3 ? 1000 : 50,
        maxPauseMs: 0.01,
      });
      expect(asked).toBe(wanted);
    }
  });

  test("tells what it waited for and the device's state at the time-out", () => {
    const wait = (): void => pollUntil(() => false, { ...options, state: () => "CMDSTS 0x80000000" });
    expect(wait).toThrow(expect.objectContaining({ code: "ETIMEDOUT", subject: "0000:01:00.0" }) as Error);
    expect(wait).toThrow("waited 20 ms for CMDSTS.active to clear on 0000:01:00.0; device state: CMDSTS 0x80000000");
  });

  test("asks once more after the deadline, for a thread that was off the CPU", () => {
    let late = false;
    pollUntil(() => {
      if (late) return true;
      const until = performance.now() + 30;
      while (performance.now() < until);
      late = true;
      return false;
    }, options);
  });

  test("does not ask for the state, and passes on what the condition throws", () => {
    const state = jest.fn(() => "");
    pollUntil(() => true, { ...options, state });
    expect(() =>
      pollUntil(
        () => {
          throw new Error("device error");
        },
        { ...options, state },
      ),
    ).toThrow("device error");
    expect(state).not.toHaveBeenCalled();
  });

  test("refuses an unbounded wait", () => {
    expect(() => pollUntil(() => false, { ...options, timeoutMs: Infinity })).toThrow("timeoutMs is Infinity");
  });
});

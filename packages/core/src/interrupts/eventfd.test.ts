import { getEventListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { openDescriptors } from "../testing/open-descriptors";
import { DEFAULT_WAIT_MS } from "../waits/time-out";
import { Eventfd } from "./eventfd";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

describe("Eventfd", () => {
  let eventfd: Eventfd;
  beforeEach(() => (eventfd = new Eventfd("vector 3")));
  afterEach(() => eventfd.close());

  test("counts signals until they are taken", () => {
    expect(eventfd.tryRead()).toBeUndefined();
    eventfd.signal();
    eventfd.signal(41n);
    expect(eventfd.tryRead()).toBe(42n);
    expect(eventfd.tryRead()).toBeUndefined();
  });

  test("keeps a count beyond 2^53", () => {
    eventfd.signal(0xffff_ffff_ffff_fffen);
    expect(eventfd.tryRead()).toBe(0xffff_ffff_ffff_fffen);
  });

  test("waitSync takes a count that is there, and times out when none comes", () => {
    eventfd.signal(2n);
    expect(eventfd.waitSync({ timeoutMs: 0 })).toBe(2n);
    expect(() => eventfd.waitSync({ timeoutMs: 5 })).toThrow(withCode("ETIMEDOUT"));
    expect(() => eventfd.waitSync({ timeoutMs: 5 })).toThrow("vector 3 was not signalled within 5 ms");
  });

  test.each([0n, -1n, 2n ** 64n - 1n, 1 as unknown as bigint, "1" as unknown as bigint])(
    "a signal of %p is refused with what is allowed",
    (count) => {
      using eventfd = new Eventfd();
      expect(() => eventfd.signal(count)).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }) as Error);
    },
  );

  test("wait resolves when the signal comes before, with and after it", async () => {
    eventfd.signal();
    await expect(eventfd.wait()).resolves.toBe(1n);
    const later = eventfd.wait();
    eventfd.signal(7n);
    await expect(later).resolves.toBe(7n);
    const muchLater = eventfd.wait();
    setTimeout(() => eventfd.signal(9n), 10);
    await expect(muchLater).resolves.toBe(9n);
  });

  test("wait times out, and the next wait works", async () => {
    await expect(eventfd.wait({ timeoutMs: 5 })).rejects.toMatchObject({ code: "ETIMEDOUT" });
    eventfd.signal();
    await expect(eventfd.wait({ timeoutMs: 1000 })).resolves.toBe(1n);
  });

  test("a second wait at the same time is refused and does not disturb the first", async () => {
    const first = eventfd.wait({ timeoutMs: 1000 });
    await expect(eventfd.wait()).rejects.toMatchObject({ code: "EBUSY" });
    eventfd.signal(3n);
    await expect(first).resolves.toBe(3n);
  });

  test("a signal ends the wait with its reason, and the next wait works", async () => {
    const controller = new AbortController();
    const waiting = eventfd.wait({ signal: controller.signal });
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(eventfd.wait({ signal: controller.signal })).rejects.toBe(reason);
    eventfd.signal();
    await expect(eventfd.wait()).resolves.toBe(1n);
  });

  test("a wait with a signal alone has no time-out; one with neither has the default", async () => {
    jest
      .spyOn(performance, "now")
      .mockReturnValueOnce(0)
      .mockReturnValue(DEFAULT_WAIT_MS + 1);
    try {
      await expect(eventfd.wait()).rejects.toMatchObject({ code: "ETIMEDOUT" });
      jest
        .spyOn(performance, "now")
        .mockReturnValueOnce(0)
        .mockReturnValue(DEFAULT_WAIT_MS + 1);
      const waiting = eventfd.wait({ signal: new AbortController().signal });
      setImmediate(() => eventfd.signal(5n));
      await expect(waiting).resolves.toBe(5n);
      jest.spyOn(performance, "now").mockReturnValueOnce(0).mockReturnValue(21);
      const both = eventfd.wait({ signal: new AbortController().signal, timeoutMs: 20 });
      await expect(both).rejects.toMatchObject({ code: "ETIMEDOUT" });
    } finally {
      jest.restoreAllMocks();
    }
  });

  test("for await gives every count until the eventfd is closed", async () => {
    const counts: bigint[] = [];
    eventfd.signal(2n);
    for await (const count of eventfd) {
      counts.push(count);
      if (counts.length === 1) setImmediate(() => eventfd.signal(3n));
      else setImmediate(() => eventfd.close());
    }
    expect(counts).toEqual([2n, 3n]);
    await expect(eventfd.counts().next()).rejects.toMatchObject({ code: "ERR_CLOSED" });
  });

  test("an iteration ends by break, by its signal's reason and by its time-out", async () => {
    eventfd.signal();
    for await (const count of eventfd) {
      expect(count).toBe(1n);
      break;
    }
    await expect(eventfd.counts({ timeoutMs: 1 }).next()).rejects.toMatchObject({ code: "ETIMEDOUT" });
    const controller = new AbortController();
    const next = eventfd.counts({ signal: controller.signal }).next();
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(next).rejects.toBe(reason);
    eventfd.signal(4n);
    await expect(eventfd.wait()).resolves.toBe(4n);
  });

  test("no listener stays at an AbortSignal", async () => {
    const { signal } = new AbortController();
    for (let i = 0; i < 20; i++) {
      const waiting = eventfd.wait({ signal });
      eventfd.signal();
      await waiting;
    }
    await expect(eventfd.wait({ signal, timeoutMs: 1 })).rejects.toMatchObject({ code: "ETIMEDOUT" });
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  });

  test("close rejects a wait under way", async () => {
    const waiting = eventfd.wait();
    eventfd.close();
    await expect(waiting).rejects.toMatchObject({ code: "ERR_CLOSED", message: "Eventfd.wait: vector 3 is closed" });
  });

  test("use after close is a clear error; closing again is none", async () => {
    eventfd.close();
    eventfd.close();
    for (const call of [() => eventfd.fd, () => eventfd.tryRead(), () => eventfd.signal(), () => eventfd.waitSync()]) {
      expect(call).toThrow(withCode("ERR_CLOSED"));
    }
    await expect(eventfd.wait()).rejects.toMatchObject({ code: "ERR_CLOSED" });
  });

  test.each([-1, NaN, Infinity, 2 ** 31])("refuses a time-out of %p", async (timeoutMs) => {
    expect(() => eventfd.waitSync({ timeoutMs })).toThrow(withCode("ERR_INVALID_ARGUMENT"));
    await expect(eventfd.wait({ timeoutMs })).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
  });

  test.each([0n, -1n, 2n ** 64n - 1n])("refuses to signal %p", (count) => {
    expect(() => eventfd.signal(count)).toThrow(withCode("ERR_INVALID_ARGUMENT"));
  });

  test("no count is lost between many signals and waits", async () => {
    let sent = 0n;
    let taken = 0n;
    for (let round = 0; round < 500; round++) {
      const waiting = eventfd.wait({ timeoutMs: 5000 });
      for (let i = 0; i <= round % 3; i++, sent++) eventfd.signal();
      if (round % 7 === 0) await sleep(0);
      taken += await waiting;
    }
    expect(taken).toBe(sent);
  });
});

test("opening, waiting and closing leaves no descriptor behind", async () => {
  const round = async (): Promise<void> => {
    using eventfd = new Eventfd();
    await expect(eventfd.wait({ timeoutMs: 0 })).rejects.toMatchObject({ code: "ETIMEDOUT" });
  };
  await round();
  const before = openDescriptors();
  for (let i = 0; i < 50; i++) await round();
  expect(openDescriptors()).toBe(before);
});

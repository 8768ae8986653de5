import { closeSync, openSync } from "node:fs";
import type { NativePoller } from "./binding";
import { native } from "./index";
import * as linux from "./testing/linux";
import { openDescriptors } from "./testing/open-descriptors";
import { nonNegative, succeeded } from "./testing/succeeded";

const one = new Uint8Array(new BigUint64Array([1n]).buffer);
const wait = (poller: NativePoller, timeoutMs: number, events = linux.POLLIN): Promise<number> =>
  new Promise((resolve) => {
    const result = poller.start(events, timeoutMs, true, resolve);
    if (result !== 0) resolve(result);
  });
/** Some turns of the event loop, in which it closes what it was told to close. */
const turns = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

describe("pollBlocking", () => {
  it("gives the ready events, or 0 on time-out", () => {
    const fd = nonNegative(native.eventfd(0, 0));
    const began = performance.now();
    expect(native.pollBlocking(fd, linux.POLLIN, 20)).toBe(0);
    expect(performance.now() - began).toBeGreaterThanOrEqual(19.9);
    native.write(fd, one);
    expect(native.pollBlocking(fd, linux.POLLIN, 1000)).toBe(linux.POLLIN);
    expect(native.pollBlocking(fd, linux.POLLIN | linux.POLLOUT, 0)).toBe(linux.POLLIN | linux.POLLOUT);
    native.close(fd);
    expect(native.pollBlocking(fd, linux.POLLIN, 1000)).toBe(-linux.EBADF);
    expect(native.pollBlocking(-1, linux.POLLIN, 1000)).toBe(-linux.EBADF);
  });

  it("refuses waits without bound", () => {
    expect(() => native.pollBlocking(0, linux.POLLIN, -1)).toThrow(
      "pollBlocking: timeoutMs is -1; allowed is an integer from 0 to 60000",
    );
    expect(() => native.pollBlocking(0, linux.POLLIN, 60_001)).toThrow("timeoutMs is 60001");
    expect(() => native.pollBlocking(0, linux.POLLIN, Infinity)).toThrow("timeoutMs is Infinity");
  });
});

describe("a poller", () => {
  let fd: number;
  let poller: NativePoller;
  beforeEach(() => {
    fd = nonNegative(native.eventfd(0, linux.O_NONBLOCK));
    poller = succeeded(native.createPoller(fd));
  });
  afterEach(() => {
    poller.close();
    native.close(fd);
  });

  it("wakes for an event that comes while it waits", async () => {
    const waiting = wait(poller, 10_000);
    setTimeout(() => native.write(fd, one), 5);
    expect(await waiting).toBe(linux.POLLIN);
  });

  it("wakes for an event that came before", async () => {
    native.write(fd, one);
    expect(await wait(poller, 10_000)).toBe(linux.POLLIN);
    expect(await wait(poller, 0)).toBe(linux.POLLIN);
  });

  it("calls back with 0 on time-out, not early, and also when JavaScript kept the loop busy", async () => {
    expect(await wait(poller, 0)).toBe(0);
    const busyUntil = performance.now() + 30;
    while (performance.now() < busyUntil);
    const began = performance.now();
    expect(await wait(poller, 20)).toBe(0);
    expect(performance.now() - began).toBeGreaterThanOrEqual(20);
  });

  it("never calls back from within start, stop or close", async () => {
    native.write(fd, one);
    const results: number[] = [];
    poller.start(linux.POLLIN, 1000, true, (result) => results.push(result));
    poller.stop();
    expect(results).toEqual([]);
    await turns();
    expect(results).toEqual([-linux.ECANCELED]);
    poller.start(linux.POLLIN, 1000, true, (result) => results.push(result));
    poller.close();
    expect(results).toHaveLength(1);
    await turns();
    expect(results).toEqual([-linux.ECANCELED, -linux.ECANCELED]);
  });

  it("allows one wait at a time", async () => {
    const waiting = wait(poller, 10_000);
    expect(await wait(poller, 10_000)).toBe(-linux.EBUSY);
    expect(poller.stop()).toBe(0);
    expect(poller.stop()).toBe(0);
    expect(await wait(poller, 10_000)).toBe(-linux.EBUSY);
    expect(await waiting).toBe(-linux.ECANCELED);
    native.write(fd, one);
    expect(await wait(poller, 10_000)).toBe(linux.POLLIN);
  });

  it("can start the next wait in the callback", async () => {
    const results: number[] = [];
    await new Promise<void>((resolve) => {
      const next = (result: number): void => {
        results.push(result);
        if (results.length === 1000) resolve();
        else expect(poller.start(linux.POLLIN, 1000, true, next)).toBe(0);
      };
      native.write(fd, one);
      poller.start(linux.POLLIN, 1000, true, next);
    });
    expect(new Set(results)).toEqual(new Set([linux.POLLIN]));
  });

  it("can wait for other events in the callback", async () => {
    const second = new Promise<number>((resolve) => {
      poller.start(linux.POLLIN, 1000, true, () => {
        native.read(fd, new Uint8Array(8));
        expect(poller.start(linux.POLLOUT, 1000, true, resolve)).toBe(0);
      });
    });
    native.write(fd, one);
    expect(await second).toBe(linux.POLLOUT);
  });

  it("stop without a wait does nothing", () => {
    expect(poller.stop()).toBe(0);
  });

  it("is refused after close, which is idempotent", async () => {
    expect(poller.close()).toBe(0);
    expect(poller.close()).toBe(-linux.EBADF);
    expect(poller.stop()).toBe(-linux.EBADF);
    expect(await wait(poller, 1)).toBe(-linux.EBADF);
  });

  it("goes on when the caller closes its own descriptor", async () => {
    const twin = nonNegative(native.dup(fd));
    const other = succeeded(native.createPoller(twin));
    native.close(twin);
    native.write(fd, one);
    expect(await wait(other, 1000)).toBe(linux.POLLIN);
    other.close();
  });

  it("leaves the blocking mode of the descriptor as it was", () => {
    const blocking = nonNegative(native.eventfd(0, 0));
    const other = succeeded(native.createPoller(blocking));
    expect(native.fcntl(blocking, linux.F_GETFL) & linux.O_NONBLOCK).toBe(0);
    expect(native.fcntl(fd, linux.F_GETFL) & linux.O_NONBLOCK).toBe(linux.O_NONBLOCK);
    other.close();
    native.close(blocking);
  });

  it("serves one descriptor together with other pollers", async () => {
    const other = succeeded(native.createPoller(fd));
    const both = [wait(poller, 10_000), wait(other, 10_000)];
    native.write(fd, one);
    expect(await Promise.all(both)).toEqual([linux.POLLIN, linux.POLLIN]);
    other.close();
  });

  it("reports the end of a stream and a broken pipe as poll(2) does", async () => {
    const [left, right] = succeeded(native.socketpair());
    const hangUp = succeeded(native.createPoller(right));
    native.close(left);
    const result = await wait(hangUp, 1000);
    expect(result & (linux.POLLIN | linux.POLLHUP)).toBe(linux.POLLIN | linux.POLLHUP);
    expect(result).toBe(native.pollBlocking(right, linux.POLLIN, 0));
    hangUp.close();
    native.close(right);
  });

  it("keeps order and count over many pollers", async () => {
    const fds = Array.from({ length: 200 }, () => nonNegative(native.eventfd(0, 0)));
    const pollers = fds.map((each) => succeeded(native.createPoller(each)));
    const waits = pollers.map((each) => wait(each, 10_000));
    fds.forEach((each, index) => index % 2 === 0 && native.write(each, one));
    setTimeout(() => pollers.forEach((each, index) => index % 2 === 1 && each.stop()), 20);
    expect(await Promise.all(waits)).toEqual(fds.map((_, i) => (i % 2 === 0 ? linux.POLLIN : -linux.ECANCELED)));
    pollers.forEach((each) => each.close());
    fds.forEach(native.close);
  });

  it("leaks no descriptor", async () => {
    await turns();
    const before = openDescriptors();
    for (let round = 0; round < 200; round++) {
      const each = succeeded(native.createPoller(fd));
      if (round % 2) void wait(each, 1000);
      each.close();
    }
    await turns();
    expect(openDescriptors()).toBe(before);
  });

  it("says what it cannot wait for", () => {
    const file = openSync(__filename, "r");
    expect(native.createPoller(file)).toBe(-linux.EPERM);
    closeSync(file);
    expect(native.createPoller(-1)).toBe(-linux.EBADF);
    const before = openDescriptors();
    for (let round = 0; round < 10; round++) native.createPoller(1 << 20);
    expect(openDescriptors()).toBe(before);
  });

  const nothing = (): void => undefined;
  const cases: [string, () => unknown, string][] = [
    ["no events", () => poller.start(0, 1, true, nothing), "start: events is 0; allowed is an integer from 1"],
    ["unknown events", () => poller.start(0x40, 1, true, nothing), "start: events is 64; allowed is POLLIN (1)"],
    ["a time-out of NaN", () => poller.start(1, NaN, true, nothing), "start: timeoutMs is NaN"],
    [
      "no ref",
      () => poller.start(1, 1, undefined as never, nothing),
      "start: ref is undefined; allowed is true or fal",
    ],
    ["no callback", () => poller.start(1, 1, true, 5 as never), "start: callback is 5; allowed is a function"],
  ];
  it.each(cases)("refuses %s", (_name, call, message) => {
    expect(call).toThrow(message);
  });

  it("refuses a negative time-out with -EINVAL", () => {
    expect(poller.start(linux.POLLIN, -1, true, nothing)).toBe(-linux.EINVAL);
  });
});

describe("a poller that takes an eventfd's count", () => {
  let fd: number;
  let poller: NativePoller;
  beforeEach(() => {
    fd = nonNegative(native.eventfd(0, linux.O_NONBLOCK));
    poller = succeeded(native.createPoller(fd));
  });
  afterEach(() => {
    poller.close();
    native.close(fd);
  });
  const take = (by: NativePoller, timeoutMs: number): Promise<bigint | number> =>
    new Promise((resolve) => {
      const result = by.take(timeoutMs, true, resolve, resolve);
      if (result !== 0) resolve(result);
    });
  const count = (value: bigint): Uint8Array => new Uint8Array(new BigUint64Array([value]).buffer);
  const left = (): number => native.read(fd, new Uint8Array(8));

  it("gives a count that comes and one that came before, and leaves none", async () => {
    const waiting = take(poller, 10_000);
    setTimeout(() => native.write(fd, count(7n)), 5);
    expect(await waiting).toBe(7n);
    native.write(fd, count(2n ** 64n - 2n));
    expect(await take(poller, 10_000)).toBe(2n ** 64n - 2n);
    expect(left()).toBe(-linux.EAGAIN);
  });

  it("ends with 0 after the time-out, not early, and takes nothing afterwards", async () => {
    const began = performance.now();
    expect(await take(poller, 20)).toBe(0);
    expect(performance.now() - began).toBeGreaterThanOrEqual(20);
    native.write(fd, one);
    await turns();
    expect(left()).toBe(8);
  });

  it("ends with -ECANCELED by stop and by close, and takes nothing", async () => {
    native.write(fd, one);
    const stopped = take(poller, 10_000);
    poller.stop();
    expect(await stopped).toBe(-linux.ECANCELED);
    const closed = take(poller, 10_000);
    poller.close();
    expect(await closed).toBe(-linux.ECANCELED);
    expect(left()).toBe(8);
  });

  it("goes on waiting when another was faster", async () => {
    const other = succeeded(native.createPoller(fd));
    const both = [take(poller, 10_000), take(other, 10_000)];
    native.write(fd, one);
    await Promise.race(both);
    await turns();
    expect([poller.waiting(), other.waiting()].sort()).toEqual([false, true]);
    native.write(fd, count(2n));
    expect((await Promise.all(both)).sort()).toEqual([1n, 2n]);
    other.close();
  });

  it("tells whether a wait is under way, and allows one at a time", async () => {
    expect(poller.waiting()).toBe(false);
    const waiting = take(poller, 10_000);
    expect(poller.waiting()).toBe(true);
    expect(await take(poller, 1)).toBe(-linux.EBUSY);
    expect(await wait(poller, 1)).toBe(-linux.EBUSY);
    native.write(fd, one);
    expect(await waiting).toBe(1n);
    expect(poller.waiting()).toBe(false);
    expect(await wait(poller, 0)).toBe(0);
  });

  it("lets the function that gets the count start the next wait", async () => {
    const counts: bigint[] = [];
    await new Promise<void>((resolve, reject) => {
      const next = (taken: bigint): void => {
        counts.push(taken);
        if (counts.length === 100) {
          resolve();
          return;
        }
        expect(poller.take(1000, true, next, reject)).toBe(0);
        native.write(fd, count(BigInt(counts.length + 1)));
      };
      poller.take(1000, true, next, reject);
      native.write(fd, one);
    });
    expect(counts).toEqual(Array.from({ length: 100 }, (_, index) => BigInt(index + 1)));
  });

  it("refuses a file that is no eventfd or would block, and use after close", async () => {
    const blocking = nonNegative(native.eventfd(0, 0));
    const sockets = succeeded(native.socketpair());
    for (const file of [blocking, sockets[0]]) {
      const other = succeeded(native.createPoller(file));
      expect(await take(other, 1)).toBe(-linux.EINVAL);
      other.close();
    }
    [blocking, ...sockets].forEach(native.close);
    expect(poller.take(-1, true, fail, fail)).toBe(-linux.EINVAL);
    poller.close();
    expect(await take(poller, 1)).toBe(-linux.EBADF);
  });

  const cases: [string, () => unknown, string][] = [
    ["a time-out of NaN", () => poller.take(NaN, true, fail, fail), "take: timeoutMs is NaN"],
    [
      "no function for the count",
      () => poller.take(1, true, 5 as never, fail),
      "take: taken is 5; allowed is a function",
    ],
    [
      "no function for the end",
      () => poller.take(1, true, fail, 5 as never),
      "take: ended is 5; allowed is a function",
    ],
  ];
  it.each(cases)("refuses %s", (_name, call, message) => {
    expect(call).toThrow(message);
  });
});

function fail(): never {
  throw new Error("called");
}

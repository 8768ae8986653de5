import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { GuestSession } from "./guest-session";

const SILENCE_MS = 200;

/** A session with a guest whose words the test writes. */
function sessionOf(silenceMs: number | undefined) {
  const control = new PassThrough();
  const session = new GuestSession({
    bootTimeoutMs: 60_000,
    timeoutMs: undefined,
    silenceMs,
    console: undefined,
    onStream: () => Promise.resolve(),
  });
  session.connected("control", control as unknown as Socket);
  return { session, control };
}

test("a guest of which nothing is heard any more is lost", async () => {
  const { session, control } = sessionOf(SILENCE_MS);
  control.write("ready 1\n");
  expect(await session.outcome).toEqual({
    kind: "lost",
    reason: "no sign of life for 0.2 s: its kernel hangs",
  });
});

test("a guest that gives signs of life may take its time", async () => {
  const { session, control } = sessionOf(SILENCE_MS);
  control.write("ready 1\n");
  const life = setInterval(() => control.write("alive\n"), SILENCE_MS / 10);
  await delay(3 * SILENCE_MS);
  clearInterval(life);
  control.write("exit 3\n");
  expect(await session.outcome).toEqual({ kind: "exit", status: 3 });
});

test("signs of life that came while this process was stopped count", async () => {
  const { session, control } = sessionOf(SILENCE_MS);
  control.write("ready 1\n");
  // The silence is over, and a message is there, when the event loop turns again.
  setImmediate(() => control.write("alive\n"));
  const stopped = performance.now();
  while (performance.now() - stopped < 2 * SILENCE_MS);
  await delay(SILENCE_MS / 2);
  control.write("exit 0\n");
  expect(await session.outcome).toEqual({ kind: "exit", status: 0 });
});

test("a guest that gdb may stop may be silent", async () => {
  const { session, control } = sessionOf(undefined);
  control.write("ready 1\n");
  await delay(2 * SILENCE_MS);
  control.write("exit 0\n");
  expect(await session.outcome).toEqual({ kind: "exit", status: 0 });
});

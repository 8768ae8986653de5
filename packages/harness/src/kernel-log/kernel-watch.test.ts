import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { KernelWatch } from "./kernel-watch";
import { END_MARK } from "./marks";
import { parseRecords } from "./record";
import { RECORDED_LOGS } from "./testing/recorded-logs";

/** A file in the place of /dev/kmsg, and the kernel that writes it. */
class FakeLog implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "kernel-watch-"));
  readonly path = join(this.#folder, "kmsg");
  #sequence = 100;

  constructor() {
    writeFileSync(this.path, "");
  }

  say(lines: readonly string[], priority = 4): void {
    for (const line of lines)
      appendFileSync(this.path, `${priority},${this.#sequence++},5140900,-;${line}\n SUBSYSTEM=pci\n`);
  }

  lose(messages: number): void {
    this.#sequence += messages;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

const USER = 12;
const WARNING = RECORDED_LOGS["WARNING"] ?? [];

test("a look takes what came since the last one, each message once", () => {
  using log = new FakeLog();
  log.say(WARNING);
  using watch = new KernelWatch({ path: log.path });
  expect(watch.take()).toEqual({ reports: [], faults: [], lines: [], lost: 0 });
  log.say(["one", ...WARNING]);
  expect(watch.take()).toMatchObject({ reports: [{ name: "WARNING", lines: WARNING, open: false }], lost: 0 });
  expect(watch.take().lines).toEqual([]);
  log.say(["two"]);
  expect(watch.take().lines).toEqual(["two"]);
});

test("what a user-space program writes is not the kernel's", () => {
  using log = new FakeLog();
  using watch = new KernelWatch({ path: log.path });
  log.say(WARNING, USER);
  expect(watch.take()).toMatchObject({ reports: [], lines: [] });
});

test("messages that were overwritten are counted", () => {
  using log = new FakeLog();
  log.say(["before"]);
  using watch = new KernelWatch({ path: log.path });
  log.lose(7);
  log.say(["after"]);
  expect(watch.take()).toMatchObject({ lines: ["after"], lost: 7 });
});

test("a watch goes on where another one stopped", () => {
  using log = new FakeLog();
  log.say(["one"]);
  using first = new KernelWatch({ path: log.path });
  log.say(["two"]);
  first.take();
  log.say(["three"]);
  using second = new KernelWatch({ path: log.path, after: first.position });
  expect(second.take()).toMatchObject({ lines: ["three"], lost: 0 });
});

test("since boot means since the last run, when there was one", () => {
  using log = new FakeLog();
  log.say(WARNING);
  using fromBoot = new KernelWatch({ path: log.path, after: "boot" });
  expect(fromBoot.take().reports).toHaveLength(1);
  log.say([END_MARK], USER);
  log.say(["later"]);
  using fromLastRun = new KernelWatch({ path: log.path, after: "boot" });
  expect(fromLastRun.take()).toMatchObject({ reports: [], lines: ["later"] });
});

test("a report that does not end is waited for, but not for long", () => {
  using log = new FakeLog();
  using watch = new KernelWatch({ path: log.path });
  log.say(WARNING.slice(0, -1));
  const started = performance.now();
  expect(watch.take().reports).toMatchObject([{ open: true }]);
  expect(performance.now() - started).toBeLessThan(5000);
});

test("a mark is added to the log, with a level that a console shows", () => {
  using log = new FakeLog();
  using watch = new KernelWatch({ path: log.path });
  log.say(["one"]);
  watch.mark("vfio-selftests: here");
  expect(readFileSync(log.path, "utf8")).toMatch(/one\n SUBSYSTEM=pci\n<4>vfio-selftests: here\n$/);
});

test("records come out of the kernel's form as they went in", () => {
  const escaped = (text: string): string =>
    [...Buffer.from(text)]
      .map((byte) =>
        byte < 32 || byte >= 127 || byte === 92
          ? `\\x${byte.toString(16).padStart(2, "0")}`
          : String.fromCharCode(byte),
      )
      .join("");
  fc.assert(
    fc.property(fc.nat(0xfff), fc.nat(), fc.string({ unit: "grapheme" }), (priority, sequence, text) => {
      const record = `${priority},${sequence},123,-,caller=T1;${escaped(text)}\n SUBSYSTEM=x\n DEVICE=+pci:1\n`;
      expect(parseRecords(record)).toEqual([{ sequence, facility: priority >> 3, text }]);
    }),
  );
});

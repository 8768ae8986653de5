import { Errno } from "@vfio-selftests/core/errors";
import { SystemPaths } from "@vfio-selftests/core/sysfs";
import { realKernel } from "../kernel/kernel-calls";
import { LiveUpdate } from "./live-update";

const SESSION = 40;
const FILE = 41;

/** A kernel that answers by the request's number, and remembers what it was asked and what was closed. */
function fakeKernel(answers: Readonly<Record<number, number>> = {}, opened = 30) {
  const asked: { fd: number; request: number; bytes: Uint8Array }[] = [];
  const closed: number[] = [];
  const given: Readonly<Record<number, number>> = { 0xba00: SESSION, 0xba01: SESSION, 0xba41: FILE };
  const calls = {
    ...realKernel.calls,
    open: () => opened,
    close: (fd: number) => (closed.push(fd), 0),
    ioctl: (fd: number, request: number, argument?: unknown) => {
      const bytes = argument as Uint8Array;
      asked.push({ fd, request, bytes: bytes.slice() });
      new DataView(bytes.buffer).setInt32(4, given[request] ?? 0, true);
      if (request === 0xba43) bytes.set(Buffer.from("kept\0"), 8);
      return answers[request] ?? 0;
    },
  };
  return { kernel: { calls, paths: new SystemPaths("/nowhere") }, asked, closed };
}

test("a session's name, files and end", () => {
  const { kernel, asked, closed } = fakeKernel();
  const liveUpdate = LiveUpdate.open(kernel);
  const session = liveUpdate.createSession("ä");
  expect(asked[0]).toMatchObject({ fd: 30, request: 0xba00 });
  expect(asked[0]?.bytes).toHaveLength(72);
  expect([...(asked[0]?.bytes.subarray(0, 12) ?? [])]).toEqual([72, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0xa4, 0, 0]);
  expect(session.name).toBe("kept");
  session.preserve(5, (1n << 64n) - 2n);
  expect([...(asked[2]?.bytes ?? [])]).toEqual([16, 0, 0, 0, 5, 0, 0, 0, 254, ...Array<number>(7).fill(255)]);
  liveUpdate.close();
  expect(closed).toEqual([30]);
  session.close();
  session.close();
  expect(closed).toEqual([30, SESSION]);
  expect(() => session.preserve(5, 1n)).toThrow(expect.objectContaining({ code: "ERR_CLOSED" }) as Error);
});

test("a file that was handed over belongs to the caller", () => {
  const { kernel, closed } = fakeKernel();
  using liveUpdate = LiveUpdate.open(kernel);
  const session = liveUpdate.retrieveSession("kept");
  const file = session.retrieve(7n);
  session.finish();
  session.close();
  expect([file.descriptor("test"), closed]).toEqual([FILE, [SESSION]]);
  file.close();
  expect(closed).toEqual([SESSION, FILE]);
});

test.each(["", "n".repeat(64), "ä".repeat(32), "a\0b"])("%j is no session's name", (name) => {
  const { kernel, asked } = fakeKernel();
  using liveUpdate = LiveUpdate.open(kernel);
  for (const method of ["createSession", "retrieveSession"] as const) {
    expect(() => liveUpdate[method](name)).toThrow(/1 to 63 bytes without a NUL/);
  }
  expect(asked).toEqual([]);
});

test.each([
  [Errno.ENOENT, /CONFIG_LIVEUPDATE .*`kho=on liveupdate=on`/],
  [Errno.EBUSY, /open once at most/],
  [Errno.EIO, /reboot: this kernel could not read/],
])("an open that fails with errno %i names the remedy", (errno, remedy) => {
  expect(() => LiveUpdate.open(fakeKernel({}, -errno).kernel)).toThrow(remedy);
});

test("the kernel's refusals name the session, and the token", () => {
  const { kernel } = fakeKernel({ 0xba40: -Errno.EEXIST, 0xba01: -Errno.ENOENT });
  using liveUpdate = LiveUpdate.open(kernel);
  const session = liveUpdate.createSession("kept");
  expect(() => session.preserve(5, 9n)).toThrow(
    expect.objectContaining({ errno: Errno.EEXIST, subject: "live update session kept, token 9" }) as Error,
  );
  expect(() => liveUpdate.retrieveSession("lost")).toThrow(
    expect.objectContaining({ errno: Errno.ENOENT, operation: "LIVEUPDATE_IOCTL_RETRIEVE_SESSION" }) as Error,
  );
});

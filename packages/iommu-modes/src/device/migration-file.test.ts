import { Errno } from "@vfio-selftests/core/errors";
import { type KernelCalls, realKernel } from "../kernel/kernel-calls";
import { MigrationFile } from "./migration-file";

const FILE = 40;

/** The data of a device whose file answers so. */
function fileThat(answers: Partial<Pick<KernelCalls, "read" | "write">>): MigrationFile {
  return new MigrationFile(FILE, "0000:01:00.0", { ...realKernel.calls, close: () => 0, ...answers });
}

test("the temporary end of a running device's data is an end", () => {
  using data = fileThat({ read: () => -Errno.ENOMSG });
  expect(data.read(new Uint8Array(8))).toBe(0);
});

test("what was read and written is counted, by the descriptor", () => {
  const calls: [number, number][] = [];
  const count = (fd: number, bytes: Uint8Array): number => calls.push([fd, bytes.length]) * 3;
  using data = fileThat({ read: count, write: count });
  expect([data.read(new Uint8Array(8)), data.write(new Uint8Array(9))]).toEqual([3, 6]);
  expect(calls).toEqual([
    [FILE, 8],
    [FILE, 9],
  ]);
});

test("an error names the device", () => {
  using data = fileThat({ read: () => -Errno.ENODEV, write: () => -Errno.ENOMSG });
  const error = (operation: string, errno: number) =>
    expect.objectContaining({ operation, errno, subject: "migration data of 0000:01:00.0" }) as Error;
  expect(() => data.read(new Uint8Array(8))).toThrow(error("read", Errno.ENODEV));
  expect(() => data.write(new Uint8Array(8))).toThrow(error("write", Errno.ENOMSG));
});

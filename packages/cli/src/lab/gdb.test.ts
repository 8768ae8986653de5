import { gdbCommand } from "./gdb";

test("the command is one line that a shell takes as it is", () => {
  expect(gdbCommand("/cache/my kernels/build/vmlinux", "/tmp/run/gdb")).toBe(
    "gdb -iex 'add-auto-load-safe-path /cache/my kernels/build' '/cache/my kernels/build/vmlinux' -ex 'target remote /tmp/run/gdb'",
  );
});

import { shellQuote } from "@vfio-selftests/lab";

/** What a person types in another terminal: gdb with the kernel's symbols and its own scripts, on QEMU's stub. */
export function gdbCommand(vmlinux: string, socket: string): string {
  const scripts = `add-auto-load-safe-path ${vmlinux.replace(/\/vmlinux$/, "")}`;
  const words = ["gdb", "-iex", scripts, vmlinux, "-ex", `target remote ${socket}`];
  return words.map((word) => (/^[\w@%+=:,./~-]+$/.test(word) ? word : shellQuote(word))).join(" ");
}

import { shellQuote } from "@vfio-selftests/lab";

/** The command to type in another terminal: it attaches gdb, with the kernel's symbols and scripts, to QEMU's stub. */
export function gdbCommand(vmlinux: string, socket: string): string {
  const scripts = `add-auto-load-safe-path ${vmlinux.replace(/\/vmlinux$/, "")}`;
  const words = ["gdb", "-iex", scripts, vmlinux, "-ex", `target remote ${socket}`];
  return words.map((word) => (/^[\w@%+=:,./~-]+$/.test(word) ? word : shellQuote(word))).join(" ");
}

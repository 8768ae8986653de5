/**
 * Runs in the guest: loads the kernel image of its argument with the running kernel's command line, and jumps into it. It
 * returns only when it cannot; standard error then says why.
 */
import { readFileSync } from "node:fs";
import { Errno, systemError, type VfioError } from "@vfio-selftests/core/errors";
import { O_RDONLY } from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import { nextCommandLine } from "./next-command-line";

function jump(image: string): VfioError {
  const file = native.open(image, O_RDONLY);
  if (file < 0) return systemError(file, "open", { subject: image });
  const loaded = native.kexecFileLoad(file, nextCommandLine(readFileSync("/proc/cmdline", "utf8")));
  if (loaded < 0) {
    const remedy =
      loaded === -Errno.ENOSYS
        ? "boot a kernel with CONFIG_KEXEC_FILE"
        : "use an image that this kernel can load: a bzImage with CONFIG_RELOCATABLE";
    return systemError(loaded, "kexec_file_load", { subject: image, remedy });
  }
  const remedy = "see the kernel's messages: a preserved file may refuse to be frozen";
  return systemError(native.kexec(), "reboot(LINUX_REBOOT_CMD_KEXEC)", { subject: image, remedy });
}

// One line, because init passes it on as one.
process.stderr.write(`${jump(process.argv[2] ?? "").message.replaceAll(/\s*\n\s*/g, "; ")}\n`);
process.exitCode = 1;

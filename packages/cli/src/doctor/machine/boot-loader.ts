import { join } from "node:path";
import { existsPath, type SystemPaths } from "@vfio-selftests/core/sysfs";

/** How a machine changes the kernel's parameters. They count from the next boot on. */
export interface BootLoader {
  readonly name: string;
  /** Any of these programs says that the machine uses it. */
  readonly programs: readonly string[];
  add(parameter: string): string;
  remove(parameter: string): string;
}

const GRUB_DEFAULTS = "/etc/default/grub";
/** `sed` in GRUB's defaults takes a parameter out, whichever of its variables has it. */
const withoutParameter = (parameter: string): string => `sudo sed -i 's/ *${parameter}//' ${GRUB_DEFAULTS}`;

/** In this order: Fedora has grub2-mkconfig, too, and grubby is what it wants to be used. */
const BOOT_LOADERS: readonly BootLoader[] = [
  {
    name: "grubby (Fedora, RHEL)",
    programs: ["usr/sbin/grubby", "usr/bin/grubby", "sbin/grubby"],
    add: (parameter) => `sudo grubby --update-kernel=ALL --args=${parameter}`,
    remove: (parameter) => `sudo grubby --update-kernel=ALL --remove-args=${parameter}`,
  },
  {
    name: "update-grub (Debian, Ubuntu)",
    programs: ["usr/sbin/update-grub", "sbin/update-grub"],
    add: (parameter) =>
      `echo 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX ${parameter}"' | sudo tee -a ${GRUB_DEFAULTS} && sudo update-grub`,
    remove: (parameter) => `${withoutParameter(parameter)} && sudo update-grub`,
  },
  {
    name: "grub-mkconfig (Arch)",
    programs: ["usr/bin/grub-mkconfig", "usr/sbin/grub-mkconfig"],
    add: (parameter) =>
      `echo 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX ${parameter}"' | sudo tee -a ${GRUB_DEFAULTS} && ` +
      "sudo grub-mkconfig -o /boot/grub/grub.cfg",
    remove: (parameter) => `${withoutParameter(parameter)} && sudo grub-mkconfig -o /boot/grub/grub.cfg`,
  },
];

/** Undefined where the machine has none that we know: systemd-boot, NixOS, a VM that boots without one. */
export function findBootLoader(paths: SystemPaths): BootLoader | undefined {
  return BOOT_LOADERS.find(({ programs }) => programs.some((program) => existsPath(join(paths.root, program))));
}

import { LAB_DEFAULTS, LAB_LIMITS } from "@vfio-selftests/lab";
import type { Check } from "../check";

const MACHINES = "the lab needs an x86-64 machine";

/** The lab is set up, or can be. */
export const labPrograms: Check = {
  id: "lab",
  subject: "lab",
  title: "QEMU and kernel",
  examine: ({ lab: { architecture, ready, needs } }) => {
    if (architecture !== "x64") {
      return [
        {
          severity: "blocks",
          text: `${MACHINES}, this is ${architecture}`,
          advice: "run it on another machine",
          commands: [],
        },
      ];
    }
    if (ready) return [];
    const commands = [...(needs.install === undefined ? [] : [needs.install]), "vfio-selftests lab setup"];
    // Words where the system's command is unknown.
    const words = needs.install === undefined ? needs.howToInstall : undefined;
    if (needs.qemu.length > 0 && !needs.makesQemu) {
      return [
        {
          severity: "blocks",
          text: `${needs.qemu.join(" and ")} not found. The lab takes the system's own, QEMU 8.0 or newer; some tests need 10.1`,
          ...(words === undefined ? {} : { advice: words }),
          commands,
        },
      ];
    }
    const isComplete = needs.install === undefined && words === undefined;
    return [
      {
        severity: isComplete ? "note" : "blocks",
        text: isComplete
          ? "QEMU and a kernel are not prepared yet; the first lab run does that, in ten minutes or so"
          : "QEMU and a kernel are not prepared yet, which takes ten minutes or so, and packages that are missing",
        ...(words === undefined ? {} : { advice: words }),
        commands,
      },
    ];
  },
};

/** The VM's memory is there. */
export const labMemory: Check = {
  id: "lab-memory",
  subject: "lab",
  title: "memory",
  examine: ({ lab: { availableMiB } }) => {
    if (availableMiB >= LAB_DEFAULTS.memoryMiB) return [];
    // Three quarters of what is free, in whole GiB.
    const less = Math.max(LAB_LIMITS.memoryMiB.least, Math.floor((availableMiB * 0.75) / 1024) * 1024);
    return [
      {
        severity: "limits",
        text: `${availableMiB} MiB of memory are free, and a VM has ${LAB_DEFAULTS.memoryMiB}. With less, tests of large maps skip`,
        commands: [`vfio-selftests lab run --memory ${less}`],
      },
    ];
  },
};

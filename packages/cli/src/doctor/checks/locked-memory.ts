import { byteSize } from "../../terminal/byte-size";
import type { Check } from "../check";
import { containerRun } from "../container-run";

/** Memory that devices may reach is locked, once for each address space it is mapped in. */
export const lockedMemory: Check = {
  id: "locked-memory",
  subject: "devices",
  title: "locked memory",
  examine: ({ lockedMemory: { soft, hard, exempt }, memoryPerDevice, devices, confinement: { container } }) => {
    const count = Math.max(1, devices.length);
    const needed = count * memoryPerDevice;
    if (exempt || soft >= needed) return [];
    const kib = Math.ceil(needed / 1024);
    return [
      {
        severity: "limits",
        text:
          `this process may lock ${byteSize(soft)}, and ${count} device${count === 1 ? "" : "s"} × ` +
          `${byteSize(memoryPerDevice)} need ${byteSize(needed)}: mapping memory fails with ENOMEM. With a vIOMMU, or in a ` +
          "container each, every device locks the memory anew",
        ...(hard >= needed
          ? { commands: [`ulimit -l ${kib}`] }
          : container === undefined
            ? {
                advice: "for this shell, and for every login:",
                commands: [
                  "sudo prlimit --pid $$ --memlock=unlimited",
                  `echo "$USER - memlock ${kib}" | sudo tee /etc/security/limits.d/vfio.conf`,
                ],
              }
            : { commands: [containerRun(container, "--ulimit memlock=-1")] }),
      },
    ];
  },
};

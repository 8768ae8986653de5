import type { Check } from "../check";
import { containerRun } from "../container-run";

/** Binding, VFs and resets go through files of sysfs. */
export const sysfsWritable: Check = {
  id: "sysfs",
  subject: "devices",
  title: "sysfs",
  examine: ({ sysfsReadOnly, confinement: { container } }) => {
    if (!sysfsReadOnly) return [];
    return [
      {
        severity: "limits",
        text: "/sys is read-only: devices cannot be bound here, and tests that bind, reset or make VFs skip or fail",
        ...(container === undefined
          ? { commands: ["sudo mount -o remount,rw /sys"] }
          : {
              advice: "mount the host's sysfs into the container, and bind devices on the host:",
              commands: [containerRun(container, "-v /sys:/sys")],
            }),
      },
    ];
  },
};

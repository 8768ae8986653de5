import type { Check } from "../check";

/** This user may open the files of VFIO. Absent ones are the matter of the modules and of the binding. */
export const deviceFiles: Check = {
  id: "device-files",
  subject: "devices",
  title: "rights to device files",
  applies: ({ files }) => Object.entries(files).some(([path, state]) => state !== "absent" && path !== "/dev/kvm"),
  examine: ({ files }) => {
    const denied = Object.entries(files).flatMap(([path, state]) =>
      state === "denied" && path !== "/dev/kvm" ? path : [],
    );
    if (denied.length === 0) return [];
    // A group's file or a device's is enough; without either, nothing opens.
    const openable = Object.entries(files).some(
      ([path, state]) => state === "usable" && /^\/dev\/vfio\/(?:\d|devices)/.test(path),
    );
    return [
      {
        severity: openable ? "limits" : "blocks",
        text: `this user may not open ${denied.join(", ")}`,
        advice: "run as root, or own the files (a udev rule keeps that after a boot):",
        commands: [`sudo chown "$USER" ${denied.join(" ")}`],
      },
    ];
  },
};

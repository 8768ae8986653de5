import type { Check } from "../check";
import { containerRun } from "../container-run";

/** Rules that may deny files of VFIO to this process. Only the audit log tells whether they do. */
export const securityModule: Check = {
  id: "security-module",
  subject: "devices",
  title: "SELinux, AppArmor",
  examine: ({ confinement: { security, container } }) => {
    if (security === undefined) return [];
    const { module, domain } = security;
    const option = module === "SELinux" ? "label=disable" : "apparmor=unconfined";
    return [
      {
        severity: "note",
        text: `${module} confines this process (${domain}), and may deny it the files of VFIO`,
        advice:
          container === undefined
            ? "see what it denied, and allow that or run without the confinement:"
            : "see on the host what it denied; without the confinement:",
        commands: [
          module === "SELinux" ? "sudo ausearch -m avc -ts recent" : "sudo dmesg | grep 'apparmor=\"DENIED\"'",
          ...(container === undefined ? [] : [containerRun(container, `--security-opt ${option}`)]),
        ],
      },
    ];
  },
};

import type { Check } from "../check";
import { containerRun } from "../container-run";

/** KVM makes the lab fast, and a few tests of interrupts need it. */
export const kvm: Check = {
  id: "kvm",
  subject: "lab",
  title: "KVM",
  examine: ({ files, lab: { kvmModule, architecture }, iommu, confinement: { container } }) => {
    const effect = "the lab emulates the CPU, which takes some ten times longer, and tests with a KVM guest skip here";
    const state = files["/dev/kvm"];
    if (state === "usable") {
      if (kvmModule !== undefined || architecture !== "x64") return [];
      // Such a KVM may start a guest and then leave it hanging; the lab finds out (machine/accelerator.ts).
      return [
        {
          severity: "note",
          text: `/dev/kvm is here, but the CPU shows neither VMX nor SVM. Where no kernel starts under it, ${effect}`,
          commands: [],
        },
      ];
    }
    if (state === "denied") {
      return [
        {
          severity: "note",
          text: `this user may not open /dev/kvm: ${effect}`,
          commands: ['sudo usermod -aG kvm "$USER" && newgrp kvm'],
        },
      ];
    }
    if (container !== undefined) {
      return [
        {
          severity: "note",
          text: `the container has no /dev/kvm: ${effect}`,
          commands: [containerRun(container, "--device /dev/kvm")],
        },
      ];
    }
    if (kvmModule !== undefined) {
      return [{ severity: "note", text: `KVM is not loaded: ${effect}`, commands: [`sudo modprobe ${kvmModule}`] }];
    }
    return [
      {
        severity: "note",
        text: `the CPU offers no virtualization: ${effect}`,
        advice: iommu.virtual
          ? "this is a VM; its host can give it nested virtualization (QEMU: -cpu host)"
          : "switch VT-x or SVM on in the firmware's set-up",
        commands: iommu.virtual ? [] : ["sudo systemctl reboot --firmware-setup"],
      },
    ];
  },
};

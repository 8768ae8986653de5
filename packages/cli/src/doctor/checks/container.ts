import type { Check } from "../check";
import { containerRun } from "../container-run";

export const containerHasVfio: Check = {
  id: "container",
  subject: "devices",
  title: "container",
  applies: ({ confinement }) => confinement.container !== undefined,
  examine: ({ confinement: { container = "" }, files, devices }) => {
    if (files["/dev/vfio/vfio"] !== "absent" || files["/dev/iommu"] !== "absent") return [];
    const group = devices[0]?.group ?? "GROUP";
    return [
      {
        severity: "blocks",
        text: `this is a container (${container}) without /dev/vfio: the host has to give it the files and the device`,
        commands: [
          containerRun(
            container,
            `--device /dev/vfio/vfio --device /dev/vfio/${group} --device /dev/iommu --ulimit memlock=-1 -v /sys:/sys`,
          ),
        ],
      },
    ];
  },
};

import type { Check } from "../check";

/** A device whose reset failed, or whose link is down, reads as all ones. */
export const devicesAnswer: Check = {
  id: "device-lost",
  subject: "devices",
  title: "devices answer",
  applies: ({ devices }) => devices.length > 0,
  examine: ({ devices }) => {
    const lost = devices.filter((device) => device.lost);
    return lost.map(({ address, driver }) => ({
      severity: lost.length < devices.length ? "limits" : "blocks",
      text: `${address} does not answer: configuration space reads as all ones. It was removed, or did not come back from a reset`,
      advice:
        "take it off the bus and look for it anew; where that fails, only switching the machine off and on helps:",
      commands: [
        ...(driver === undefined ? [] : [`echo ${address} | sudo tee /sys/bus/pci/devices/${address}/driver/unbind`]),
        `echo 1 | sudo tee /sys/bus/pci/devices/${address}/remove`,
        "echo 1 | sudo tee /sys/bus/pci/rescan",
      ],
    }));
  },
};

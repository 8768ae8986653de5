import { isVfioDriver } from "@vfio-selftests/core/sysfs";
import type { DeviceDescription } from "../../info/describe-device";
import type { Check, Finding } from "../check";

/** Some device is bound, alone in its group or with others that leave it viable, and free. */
export const devicesUsable: Check = {
  id: "devices",
  subject: "devices",
  title: "devices",
  applies: ({ devices, iommu }) => devices.length > 0 || iommu.groups > 0,
  examine: ({ devices, candidates }) => {
    // Of several bound devices, one that works is enough.
    const others = devices.filter(({ usable }) => !usable);
    const severity = others.length < devices.length ? "limits" : "blocks";
    if (devices.length > 0) return others.map((device) => obstacle(device, severity));
    const [first] = candidates;
    return [
      {
        severity: "blocks",
        text: "no device is bound to vfio-pci",
        advice: first === undefined ? "no device is behind the IOMMU" : "choose one that the machine can spare:",
        commands: ["vfio-selftests list", `sudo vfio-selftests bind ${first ?? "ADDRESS"}`],
      },
    ];
  },
};

function obstacle(device: DeviceDescription, severity: Finding["severity"]): Finding {
  const { address, driver, iommuGroup, reason = "it cannot be used", remedy } = device;
  const blocking = (iommuGroup?.members ?? []).flatMap((member) => (member.blocks ? member.address : []));
  const others = blocking.filter((member) => member !== address);
  const toBind = iommuGroup === undefined || isVfioDriver(driver) ? others : [address, ...others];
  // The reason names one obstacle. Binding the device would only lead to the next one.
  const also =
    others.length > 0 && !isVfioDriver(driver) ? `; its group is not viable because of ${others.join(", ")}` : "";
  return {
    severity,
    text: `${address}: ${reason}${also}`,
    ...(toBind.length === 0 && remedy !== undefined ? { advice: remedy } : {}),
    commands: toBind.length === 0 ? [] : [`sudo vfio-selftests bind ${toBind.join(" ")}`],
  };
}

import { asCalled } from "@vfio-selftests/core/errors";
import { pciDevice, type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { autoMode } from "@vfio-selftests/iommu-modes";
import { ExitCode } from "../exit-codes";
import { driversToShow } from "../target/choose-drivers";
import { deviceNamed } from "../target/named-devices";
import { askVfio, type VfioAnswer } from "./ask-vfio";
import { describeDevice, type DeviceDescription } from "./describe-device";
import { deviceLines } from "./device-lines";

/** The `info` command. */
export function showDevice(
  name: string,
  { json = false }: { readonly json?: boolean },
  paths: SystemPaths = systemPaths,
): number {
  const { drivers } = driversToShow();
  const device = describeDevice(pciDevice(deviceNamed(name, paths), paths), drivers, paths);
  const vfio = device.usable ? askVfio(device.address, autoMode) : notAsked(device);
  if (json) console.log(JSON.stringify({ ...device, vfio }, hexadecimal, 2));
  else for (const line of deviceLines(device, vfio)) console.log(asCalled(line));
  return ExitCode.ok;
}

function notAsked({ reason = "the device cannot be used", remedy }: DeviceDescription): VfioAnswer {
  return { opened: false, reason, ...(remedy === undefined ? {} : { remedy }) };
}

/** JSON has no integers of 64 bits. */
function hexadecimal(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? `0x${value.toString(16)}` : value;
}

import { asCalled } from "@vfio-selftests/core/errors";
import { isBridge, listPciDevices, type PciDeviceEntry } from "@vfio-selftests/core/sysfs";
import { autoMode, iommuModes } from "@vfio-selftests/iommu-modes";
import { ExitCode } from "../exit-codes";
import { driversToShow } from "../target/choose-drivers";
import { wrapText } from "../terminal/wrap-text";
import { assessDevice, type ListedDevice } from "./assess-device";
import { textTable } from "./text-table";

interface ListedMode {
  readonly name: string;
  readonly description: string;
  readonly available: boolean;
  readonly reason?: string;
  readonly remedy?: string;
}

/** The `list` command. */
export function listMachine({ json = false, all = false }: { json?: boolean; all?: boolean }): number {
  const drivers = driversToShow().drivers;
  const entries = listPciDevices().filter((entry) => all || isCandidate(entry));
  const devices = entries.map((entry) => assessDevice(entry, drivers));
  const modes = [...iommuModes, autoMode].map((mode): ListedMode => {
    return { name: mode.name, description: mode.description, ...mode.availability() };
  });
  if (json) console.log(JSON.stringify({ devices, modes }, undefined, 2));
  else for (const line of [...deviceLines(devices, all), "", ...modeLines(modes)]) console.log(line);
  return ExitCode.ok;
}

function isCandidate(entry: PciDeviceEntry): boolean {
  return entry.iommuGroup !== undefined && !isBridge(entry);
}

function deviceLines(devices: readonly ListedDevice[], all: boolean): string[] {
  if (devices.length === 0) {
    return [
      all ? "No PCI device." : "No PCI device is behind an IOMMU (--all shows every device).",
      ...remedyLines(
        "switch the IOMMU on in the firmware and boot with intel_iommu=on or amd_iommu=on, or use a VM that has one: " +
          "vfio-selftests lab run; vfio-selftests doctor tells more",
      ),
    ];
  }
  const rows = devices.map(({ address, ids, group, driver, selftestDriver, usable }) => [
    address,
    ids,
    group === undefined ? "-" : String(group),
    driver ?? "-",
    selftestDriver ?? "-",
    usable ? "yes" : "no",
  ]);
  const lines = textTable(["device", "ids", "group", "driver", "selftest driver", "usable"], rows);
  const reasons = devices.flatMap(({ address, reason, remedy }) =>
    reason === undefined ? [] : [...wrapText("", `${address}: ${reason}`), ...remedyLines(remedy)],
  );
  return reasons.length === 0 ? lines : [...lines, "", ...reasons];
}

function modeLines(modes: readonly ListedMode[]): string[] {
  const lines = textTable(
    ["mode", "available"],
    modes.map(({ name, available }) => [name, available ? "yes" : "no"]),
  );
  const unavailable = modes.filter(({ name, available }) => !available && name !== autoMode.name);
  // Modes that lack the same are told together.
  const reasons = [...new Set(unavailable.map(({ reason }) => reason))].flatMap((reason) => {
    const alike = unavailable.filter((mode) => mode.reason === reason);
    const names = alike.map(({ name }) => name).join(", ");
    return ["", ...wrapText("", `${names}: ${reason ?? ""}`), ...remedyLines(alike[0]?.remedy)];
  });
  return [...lines, ...reasons];
}

function remedyLines(remedy: string | undefined): string[] {
  return remedy === undefined ? [] : wrapText("  Remedy: ", asCalled(remedy));
}

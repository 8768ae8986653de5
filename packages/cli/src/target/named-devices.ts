import { argumentError, VfioError } from "@vfio-selftests/core/errors";
import {
  formatPciAddress,
  listPciDevices,
  parsePciAddress,
  type PciDeviceEntry,
  requirePciDevice,
  type SystemPaths,
  systemPaths,
} from "@vfio-selftests/core/sysfs";

/** A vendor and a device, as lspci -n shows them: `8086:10c9`. An address has a dot, so no text is both. */
const IDS = /^([0-9a-f]{4}):([0-9a-f]{4})$/i;

/**
 * The addresses of the devices that these names mean: an address means one device, `VENDOR:DEVICE` all with these ids. In
 * the order of the names, each once. ENODEV where a name means none.
 */
export function devicesNamed(names: readonly string[], paths: SystemPaths = systemPaths): string[] {
  return [...new Set(names.flatMap((name) => devicesOf(name, paths)))];
}

/** The address of the one device that this name means. ERR_INVALID_ARGUMENT lists them where it means several. */
export function deviceNamed(name: string, paths: SystemPaths = systemPaths): string {
  const [address = "", ...others] = devicesOf(name, paths);
  if (others.length === 0) return address;
  const all = [address, ...others].join(", ");
  throw argumentError("find PCI device", "device", name, `one device, by its address: ${all}`);
}

/** The addresses that this name means, as `devicesNamed`. An address need not be a device's: the device may be gone. */
export function addressesNamed(name: string, paths: SystemPaths = systemPaths): string[] {
  return IDS.test(name) ? devicesOf(name, paths) : [addressOf(name)];
}

function devicesOf(name: string, paths: SystemPaths): string[] {
  const [, vendor, device] = IDS.exec(name) ?? [];
  if (vendor === undefined || device === undefined) return [requirePciDevice(addressOf(name), paths)];
  const ids = { vendor: parseInt(vendor, 16), device: parseInt(device, 16) };
  const found = listPciDevices(paths).filter((entry) => hasIds(entry, ids));
  if (found.length > 0) return found.map(({ address }) => address);
  throw new VfioError(`no PCI device has vendor and device ${name}`, {
    code: "ENODEV",
    operation: "find PCI device",
    subject: name,
    remedy: "choose one that vfio-selftests list --all (or lspci -n) shows",
  });
}

function hasIds(entry: PciDeviceEntry, ids: Pick<PciDeviceEntry, "vendor" | "device">): boolean {
  return entry.vendor === ids.vendor && entry.device === ids.device;
}

function addressOf(name: string): string {
  const address = parsePciAddress(name);
  if (address !== undefined) return formatPciAddress(address);
  const allowed =
    "DDDD:BB:DD.F or BB:DD.F in hexadecimal, device at most 1f, function at most 7 (for example 0000:6a:01.0), " +
    "or VENDOR:DEVICE (for example 8086:10c9)";
  throw argumentError("PCI address", "address", name, allowed);
}

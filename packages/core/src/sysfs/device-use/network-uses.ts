import { linkName, listDirectory, readAttribute, readNumber, type SystemPaths } from "../system-paths";
import { isVfioDriver } from "../vfio-driver";
import { classMembers } from "./class-members";

/** netdevice(7). */
const IFF_UP = 1;

/** Base class and sub-class of Ethernet controllers (PCI Code and ID Assignment Specification, section 1.3). */
const ETHERNET_CLASS = 0x0200;

/** Drivers without an interface, for devices that a program in user space uses. */
const WITHOUT_INTERFACE = /^(?:igb_uio|uio_pci_generic|pci-stub)$/;

/** The network interfaces of a PCI function that are up, carry the default route, or belong to another namespace. */
export function networkUses(address: string, directory: string, paths: SystemPaths): string[] {
  const routed = defaultRouteInterfaces(paths);
  const names = classMembers("net", directory, paths);
  if (names.length === 0) return hiddenInterface(address, paths);
  return names.flatMap((name) => {
    const up = ((readNumber(paths.sys("class", "net", name, "flags")) ?? 0) & IFF_UP) !== 0;
    const routes = withUppers(name, paths)
      .filter((upper) => routed.has(upper))
      .map((upper) => `network interface ${name} carries the default route${upper === name ? "" : ` (by ${upper})`}`);
    return [...(up ? [`network interface ${name} is up`] : []), ...routes];
  });
}

/**
 * /sys/class/net shows the interfaces of one namespace. A driver without an interface may have given it to a container.
 */
function hiddenInterface(address: string, paths: SystemPaths): string[] {
  const driver = linkName(paths.pciDevice(address, "driver"));
  const classCode = readNumber(paths.pciDevice(address, "class")) ?? 0;
  if (classCode >>> 8 !== ETHERNET_CLASS || driver === undefined) return [];
  if (isVfioDriver(driver) || WITHOUT_INTERFACE.test(driver)) return [];
  return [`its driver ${driver} shows no network interface here: it may belong to another network namespace`];
}

/** An interface, and the bridges, bonds and VLANs on top of it. */
function withUppers(name: string, paths: SystemPaths): string[] {
  const found = new Set([name]);
  for (const known of found) {
    for (const entry of listDirectory(paths.sys("class", "net", known))) {
      if (entry.startsWith("upper_")) found.add(entry.slice("upper_".length));
    }
  }
  return [...found];
}

function defaultRouteInterfaces(paths: SystemPaths): Set<string> {
  const fields = (file: string) =>
    (readAttribute(paths.proc("net", file)) ?? "").split("\n").map((line) => line.trim().split(/\s+/));
  // IPv4: interface, destination, …, mask in column 7. IPv6: destination, prefix length in hexadecimal, …, interface last.
  const version4 = fields("route").filter(
    ([, destination, , , , , , mask]) => destination === "00000000" && mask === "00000000",
  );
  const version6 = fields("ipv6_route").filter(
    ([destination, length, ...rest]) => /^0{32}$/.test(destination ?? "") && length === "00" && rest.at(-1) !== "lo",
  );
  return new Set([...version4.map(([name]) => name ?? ""), ...version6.map((line) => line.at(-1) ?? "")]);
}

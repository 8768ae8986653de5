import { realpathSync } from "node:fs";
import { sep } from "node:path";
import { linkName, listDirectory, readAttribute, readNumber, systemPaths, type SystemPaths } from "./system-paths";

/** Drivers of virtio devices that carry a file system, by the file system's name in mountinfo. */
const FILE_SYSTEM_DRIVERS: Readonly<Record<string, string>> = { virtiofs: "virtiofs", "9pnet_virtio": "9p" };

/** netdevice(7). */
const IFF_UP = 1;

/**
 * What the machine needs a PCI function for at present: mounted disks, swap, network interfaces, the display. Taking such
 * a device from its driver would harm the running system. One line for people each; empty when nothing is known.
 */
export function deviceUses(address: string, paths: SystemPaths = systemPaths): string[] {
  const directory = realPath(paths.pciDevice(address));
  if (directory === undefined) return [];
  return [
    ...diskUses(directory, paths),
    ...fileSystemUses(directory, paths),
    ...networkUses(directory, paths),
    ...displayUses(address, paths),
  ];
}

function diskUses(directory: string, paths: SystemPaths): string[] {
  const mounts = readMounts(paths);
  const swaps = (readAttribute(paths.proc("swaps")) ?? "").split("\n").slice(1);
  return membersOf("block", directory, paths).flatMap((name) => {
    const number = readAttribute(paths.sys("class", "block", name, "dev"));
    const mounted = mounts
      .filter(({ device, source }) => device === number || source === `/dev/${name}`)
      .map(({ target }) => `disk ${name} is mounted at ${target}`);
    const swapped = swaps.some((line) => line.startsWith(`/dev/${name} `) || line.startsWith(`/dev/${name}\t`));
    const holders = listDirectory(paths.sys("class", "block", name, "holders"));
    return [
      ...mounted,
      ...(swapped ? [`disk ${name} is swap space`] : []),
      ...holders.map((holder) => `disk ${name} is part of ${holder}`),
    ];
  });
}

function fileSystemUses(directory: string, paths: SystemPaths): string[] {
  const mounts = readMounts(paths);
  return listDirectory(directory)
    .filter((name) => name.startsWith("virtio"))
    .flatMap((name) => {
      const type = FILE_SYSTEM_DRIVERS[linkName(`${directory}/${name}/driver`) ?? ""];
      return mounts
        .filter((mount) => mount.type === type)
        .map(({ target }) => `a ${type ?? ""} file system is mounted at ${target}`);
    });
}

function networkUses(directory: string, paths: SystemPaths): string[] {
  const routed = defaultRouteInterfaces(paths);
  return membersOf("net", directory, paths).flatMap((name) => {
    const up = ((readNumber(paths.sys("class", "net", name, "flags")) ?? 0) & IFF_UP) !== 0;
    const routes = withUppers(name, paths)
      .filter((upper) => routed.has(upper))
      .map((upper) => `network interface ${name} carries the default route${upper === name ? "" : ` (by ${upper})`}`);
    return [...(up ? [`network interface ${name} is up`] : []), ...routes];
  });
}

function displayUses(address: string, paths: SystemPaths): string[] {
  const bootDisplay = readAttribute(paths.pciDevice(address, "boot_vga")) === "1";
  const framebuffer = listDirectory(paths.pciDevice(address, "graphics")).length > 0;
  return bootDisplay || framebuffer ? ["it is the machine's display"] : [];
}

/** Names in /sys/class/CLASS whose device lies below `directory`. */
function membersOf(className: string, directory: string, paths: SystemPaths): string[] {
  return listDirectory(paths.sys("class", className)).filter((name) =>
    realPath(paths.sys("class", className, name))?.startsWith(directory + sep),
  );
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

interface Mount {
  /** `major:minor`. */
  readonly device: string;
  readonly target: string;
  readonly type: string;
  readonly source: string;
}

/** proc(5), /proc/PID/mountinfo: id, parent, device, root, target, options, tags …, `-`, type, source, options. */
function readMounts(paths: SystemPaths): Mount[] {
  return (readAttribute(paths.proc("self", "mountinfo")) ?? "").split("\n").flatMap((line) => {
    const [head = "", tail = ""] = line.split(" - ");
    const [, , device, , target] = head.split(" ");
    const [type, source] = tail.split(" ");
    if (device === undefined || target === undefined || type === undefined || source === undefined) return [];
    return [{ device, target, type, source }];
  });
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

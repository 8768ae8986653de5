import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { PciDeviceEntry, SystemPaths } from "@vfio-selftests/core/sysfs";

/** Where distributions keep pci.ids: pciutils' own update, Debian, Fedora and Arch, BSD-like prefixes, NixOS. */
const PLACES = [
  "var/lib/pciutils/pci.ids",
  "usr/share/misc/pci.ids",
  "usr/share/hwdata/pci.ids",
  "usr/share/pci.ids",
  "usr/local/share/pci.ids",
  "run/current-system/sw/share/hwdata/pci.ids",
] as const;

/** The names of a device; one is absent where the file does not have it. */
export interface PciNames {
  readonly vendor?: string;
  readonly device?: string;
  readonly subsystem?: string;
  readonly class?: string;
}

/** The table of PCI names of this machine. */
export class PciIds {
  readonly #lines: readonly string[];

  constructor(text: string) {
    this.#lines = text.split("\n");
  }

  /** The first file that can be read, plain or compressed; undefined where the machine has none. */
  static find(paths: SystemPaths): PciIds | undefined {
    for (const place of PLACES.flatMap((path) => [path, `${path}.gz`])) {
      try {
        const bytes = readFileSync(join(paths.root, place));
        return new PciIds((place.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8"));
      } catch {
        // Missing, not for this user, or damaged: the next one may serve.
      }
    }
    return undefined;
  }

  names(entry: PciDeviceEntry): PciNames {
    const vendor = hex(entry.vendor, 4);
    const device = hex(entry.device, 4);
    const subsystem = `${hex(entry.subsystemVendor, 4)} ${hex(entry.subsystemDevice, 4)}`;
    const base = `C ${hex(entry.class >>> 16, 2)}`;
    const subclass = hex((entry.class >>> 8) & 0xff, 2);
    const found: Record<keyof PciNames, string | undefined> = {
      vendor: this.#lookUp(vendor),
      device: this.#lookUp(vendor, device),
      subsystem: this.#lookUp(vendor, device, subsystem),
      class: this.#lookUp(base, subclass) ?? this.#lookUp(base),
    };
    return Object.fromEntries(Object.entries(found).filter(([, name]) => name !== undefined));
  }

  /** The name below this path of ids. An entry's children follow it, each level with one tab more. */
  #lookUp(...path: readonly string[]): string | undefined {
    let depth = 0;
    for (const line of this.#lines) {
      if (line === "" || line.startsWith("#")) continue;
      const tabs = /^\t*/.exec(line)?.[0].length ?? 0;
      if (tabs < depth) return undefined;
      const start = `${path[depth] ?? ""}  `;
      if (tabs > depth || !line.startsWith(start, tabs)) continue;
      depth += 1;
      if (depth === path.length) return line.slice(tabs + start.length).trim();
    }
    return undefined;
  }
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

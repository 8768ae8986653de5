import { basename, dirname } from "node:path";
import { readAttribute, SystemPaths } from "../sysfs/system-paths";

/** The fake kernel's changes to its tree. */
export interface FakeTree {
  /** The driver that knows the device by its ids. */
  nativeDriver(address: string): string | undefined;
  /** Makes or removes a device's `driver` link. */
  setDriver(address: string, driver: string | undefined): void;
  hasDriver(driver: string): boolean;
}

/**
 * Paths whose writes have the effect of the kernel's driver core: `bind`, `unbind` and `drivers_probe`. `refusing`
 * drivers do not take a device.
 */
export class FakeDriverCore extends SystemPaths {
  readonly refusing = new Set<string>();
  /** Paths below the root that deny writes (EACCES). */
  readonly denied = new Set<string>();
  /** Block devices below the root that somebody has claimed from the fake kernel. */
  readonly claimed = new Set<string>();
  /** Every write, as `path below the root = text`. */
  readonly writes: string[] = [];
  readonly #tree: FakeTree;

  constructor(root: string, tree: FakeTree) {
    super(root);
    this.#tree = tree;
  }

  override write(path: string, text: string, remedies: Readonly<Record<string, string>> = {}): void {
    super.write(path, text, remedies);
    this.writes.push(`${this.#below(path)} = ${text.trim()}`);
    const file = basename(path);
    const driver = basename(dirname(path));
    if (file === "unbind") this.#tree.setDriver(text, undefined);
    else if (file === "bind") this.#attach(text, driver);
    else if (file === "drivers_probe") this.#attach(text, this.#override(text) ?? this.#tree.nativeDriver(text));
  }

  override claim(path: string): string | undefined {
    return this.claimed.has(this.#below(path)) ? "EBUSY" : undefined;
  }

  protected override put(path: string, text: string): void {
    if (this.denied.has(this.#below(path))) throw Object.assign(new Error("denied"), { code: "EACCES", errno: -13 });
    super.put(path, text);
  }

  #below(path: string): string {
    return path.slice(this.root.length + 1);
  }

  #attach(address: string, driver: string | undefined): void {
    const override = this.#override(address);
    if (driver === undefined || this.refusing.has(driver) || !this.#tree.hasDriver(driver)) return;
    if (override === undefined || override === driver) this.#tree.setDriver(address, driver);
  }

  #override(address: string): string | undefined {
    const text = readAttribute(this.pciDevice(address, "driver_override"));
    return text === undefined || text === "" || text === "(null)" ? undefined : text;
  }
}

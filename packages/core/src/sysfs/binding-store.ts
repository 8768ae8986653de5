import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "../errors/vfio-error";
import type { BindingState } from "./driver-binding";
import { makeFolder } from "./make-folder";
import { listDirectory, readAttribute, type SystemPaths, systemPaths } from "./system-paths";

/**
 * Remembers the state of devices before they were bound, across processes and their crashes: one JSON file per device.
 */
export class BindingStore {
  readonly #directory: string;

  /** Keeps the files below `paths.runtime("devices")`. */
  constructor(paths: SystemPaths = systemPaths) {
    this.#directory = paths.runtime("devices");
  }

  /** Addresses of the devices with a stored state. */
  addresses(): string[] {
    return listDirectory(this.#directory).flatMap((name) => (name.endsWith(".json") ? [name.slice(0, -5)] : []));
  }

  /**
   * Stores the state, whole or not at all. An earlier stored state stays, because that is the one to go back to. Call
   * it before touching the device.
   */
  save(state: BindingState): void {
    const file = this.#file(state.address);
    if (readAttribute(file) !== undefined) return;
    makeFolder(this.#directory, 0o700);
    const draft = `${file}.new`;
    const fd = openSync(draft, "w", 0o600);
    try {
      writeSync(fd, `${JSON.stringify(state)}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, file);
  }

  /** Undefined if none is stored. Throws ERR_INVALID_STATE for a damaged file. */
  load(address: string): BindingState | undefined {
    const file = this.#file(address);
    const text = readAttribute(file);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text) as BindingState;
    } catch (cause) {
      throw new VfioError(`${file} is damaged`, {
        code: "ERR_INVALID_STATE",
        operation: "read stored binding",
        subject: address,
        remedy: "bind the device to its driver by hand (/sys/bus/pci/drivers), then delete the file",
        cause,
      });
    }
  }

  /** Removes the stored state, if there is one. */
  forget(address: string): void {
    rmSync(this.#file(address), { force: true });
  }

  #file(address: string): string {
    return join(this.#directory, `${address}.json`);
  }
}

import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { VfioError, listDirectory, systemPaths } from "@vfio-selftests/core";

/** What a device was before `bind`, and becomes again by `unbind`. */
export interface SavedBinding {
  readonly address: string;
  /** The driver it was bound to; absent when it had none. */
  readonly driver?: string;
  readonly driverOverride?: string;
  /** Virtual functions that were enabled; absent on a device without SR-IOV. */
  readonly numVfs?: number;
}

/** Where the states of bound devices are kept, so that another process, also after a crash, can put them back. */
export class SavedBindings {
  constructor(readonly directory: string = systemPaths.runtime("devices")) {}

  get(address: string): SavedBinding | undefined {
    const file = this.#file(address);
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    try {
      return JSON.parse(text) as SavedBinding;
    } catch (cause) {
      throw new VfioError(`${file} is damaged`, {
        code: "ERR_INVALID_STATE",
        operation: "read saved binding",
        subject: address,
        remedy: `bind the device to its driver by hand (/sys/bus/pci/drivers), then delete the file`,
        cause,
      });
    }
  }

  /** Written whole or not at all: it must be there before the device is touched. */
  save(binding: SavedBinding): void {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    const file = this.#file(binding.address);
    const draft = `${file}.new`;
    const fd = openSync(draft, "w", 0o600);
    try {
      writeSync(fd, `${JSON.stringify(binding)}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, file);
  }

  remove(address: string): void {
    rmSync(this.#file(address), { force: true });
  }

  /** Addresses of every device that has a state. */
  addresses(): string[] {
    return listDirectory(this.directory).flatMap((name) =>
      name.endsWith(".json") ? [name.slice(0, -".json".length)] : [],
    );
  }

  #file(address: string): string {
    return join(this.directory, `${address}.json`);
  }
}

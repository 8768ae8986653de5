import type { MigrationData, VfioDevice } from "../../contracts/vfio-device";
import { Errno } from "../../errors/errno";
import { systemError, VfioError } from "../../errors/vfio-error";
import {
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
  VFIO_DEVICE_FEATURE_MIGRATION,
  VFIO_DEVICE_FEATURE_SET,
  VFIO_DEVICE_STATE_PRE_COPY,
  VFIO_DEVICE_STATE_PRE_COPY_P2P,
  VFIO_DEVICE_STATE_RESUMING,
  VFIO_DEVICE_STATE_STOP_COPY,
  VFIO_MIGRATION_P2P,
  VFIO_MIGRATION_PRE_COPY,
} from "../../uapi/vfio-numbers";
import { vfio_device_feature_mig_state, vfio_device_feature_migration } from "../../uapi/vfio-structs";

/** What a device that can migrate has besides STOP_COPY and RESUMING. */
export interface MigrationFeatures {
  /** The states RUNNING_P2P and, with `preCopy`, PRE_COPY_P2P. */
  readonly p2p: boolean;
  /** The states PRE_COPY and, with `p2p`, PRE_COPY_P2P. */
  readonly preCopy: boolean;
}

/** States in which a device's data go through a stream. */
const WITH_DATA: readonly number[] = [
  VFIO_DEVICE_STATE_STOP_COPY,
  VFIO_DEVICE_STATE_RESUMING,
  VFIO_DEVICE_STATE_PRE_COPY,
  VFIO_DEVICE_STATE_PRE_COPY_P2P,
];

/** Bytes of one read of a device's data. */
const CHUNK = 1024 * 1024;

/**
 * Moves the state of one device out or in: VFIO's migration, version 2 (linux/vfio.h, `enum vfio_device_mig_state`). The
 * kernel gives the data by a file, a vfio-user server by messages; here they are one stream. States are
 * `VFIO_DEVICE_STATE_*`.
 */
export class DeviceMigration implements Disposable {
  readonly #device: VfioDevice;
  #data: MigrationData | undefined;

  /** `device` outlives this object. */
  constructor(device: VfioDevice) {
    this.#device = device;
  }

  /** Undefined if the device cannot migrate. */
  features(): MigrationFeatures | undefined {
    const layout = vfio_device_feature_migration;
    try {
      const payload = this.#device.feature(
        VFIO_DEVICE_FEATURE_MIGRATION | VFIO_DEVICE_FEATURE_GET,
        new Uint8Array(layout.size),
      );
      const flags = Number(layout.fields.flags.get(layout.copyOf(payload)));
      return { p2p: (flags & VFIO_MIGRATION_P2P) !== 0, preCopy: (flags & VFIO_MIGRATION_PRE_COPY) !== 0 };
    } catch (error) {
      if (error instanceof VfioError && error.code === "ENOTTY") return undefined;
      throw error;
    }
  }

  /** The device's state. */
  get state(): number {
    return this.#ask(VFIO_DEVICE_FEATURE_GET, 0).state;
  }

  /**
   * Goes to a state, by all states between, and returns when the device is there. Errors: `EINVAL` if there is no way
   * from the device's state, or if data are cut short or not its own. {@link state} then tells where it is; from ERROR
   * only a reset leads on.
   */
  setState(state: number): void {
    let fd = -1;
    try {
      ({ fd } = this.#ask(VFIO_DEVICE_FEATURE_SET, state));
    } catch (error) {
      if (this.#data !== undefined && !WITH_DATA.includes(this.state)) this.#closeData();
      throw error;
    }
    // The data of a copy in advance go on in STOP_COPY, and the kernel gives no further file.
    if (fd < 0 && this.#data !== undefined && WITH_DATA.includes(state)) return;
    this.#closeData();
    if (fd >= 0 || WITH_DATA.includes(state)) this.#data = this.#device.openMigrationData?.(fd);
  }

  /** Reads at most `into.length` bytes of the device's data. Returns how many; 0: there are no more in this state. */
  read(into: Uint8Array): number {
    return this.#stream("read").read(into);
  }

  /** Reads all that the device has to tell in its present state. */
  readAll(): Uint8Array {
    const parts: Uint8Array[] = [];
    for (;;) {
      const bytes = new Uint8Array(CHUNK);
      const count = this.read(bytes);
      if (count === 0) return Buffer.concat(parts);
      parts.push(bytes.subarray(0, count));
    }
  }

  /** Writes a saved device's data, all of them or a part. Throws `EIO` if the device takes none without an error. */
  write(from: Uint8Array): void {
    for (let done = 0; done < from.length;) {
      const count = this.#stream("write").write(from.subarray(done, done + CHUNK));
      if (count === 0) {
        const subject = this.#device.address;
        const message = `write of migration data: ${subject} took ${done} of ${from.length} bytes, and no more`;
        throw systemError(-Errno.EIO, "DeviceMigration.write", { subject, message });
      }
      done += count;
    }
  }

  /** Lets go of the data, not of the device. Idempotent. */
  [Symbol.dispose](): void {
    this.#closeData();
  }

  #closeData(): void {
    this.#data?.close();
    this.#data = undefined;
  }

  #stream(operation: string): MigrationData {
    if (this.#data !== undefined) return this.#data;
    throw new VfioError(`${operation} of migration data: ${this.#device.address} is in no state that has any`, {
      code: "ERR_NOT_SUPPORTED",
      operation: `DeviceMigration.${operation}`,
      subject: this.#device.address,
      remedy: "setState to STOP_COPY or PRE_COPY to read, to RESUMING to write",
    });
  }

  #ask(method: number, state: number): { state: number; fd: number } {
    const layout = vfio_device_feature_mig_state;
    const { device_state, data_fd } = layout.fields;
    const asked = layout.allocate();
    device_state.set(asked, state);
    data_fd.set(asked, -1);
    const payload = this.#device.feature(VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE | method, asked.bytes);
    const answer = layout.copyOf(payload);
    return { state: device_state.get(answer), fd: data_fd.get(answer) };
  }
}

import { closeAll, OwnedDescriptor } from "@vfio-selftests/core/backend";
import {
  VFIO_DEVICE_FEATURE_GET as GET,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE as DEVICE_STATE,
  vfio_device_feature_mig_state,
  VFIO_DEVICE_FEATURE_SET as SET,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_STATE_STOP_COPY,
  VFIO_MIG_GET_PRECOPY_INFO,
  vfio_precopy_info,
} from "@vfio-selftests/core/uapi";
import { KernelFile, realKernel } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import type { StateAnswer, StateRig } from "../../migration/state-rules";
import { askKernel, askPlainly, bytesOf, outcome } from "../raw/ask-kernel";
import { CardFile } from "./card-file";
import type { FeatureAnswer, SerialCard } from "./serial-card";

/** A card with two ports, opened by its own file and bound, with the files of its data. */
export class MigrationRig implements StateRig {
  readonly card: SerialCard;
  readonly #cardFile: CardFile;
  readonly #dataFiles: OwnedDescriptor[] = [];
  #newestData = -1;

  constructor() {
    this.#cardFile = new CardFile(2);
    try {
      this.card = this.#cardFile.bound();
    } catch (error) {
      this.#cardFile[Symbol.dispose]();
      throw error;
    }
  }

  /** The device's. */
  get name(): string {
    return this.#cardFile.device.uuid;
  }

  state(): StateAnswer {
    return stateOf(this.card.feature(DEVICE_STATE | GET, vfio_device_feature_mig_state.allocate().bytes));
  }

  setState(state: number): StateAnswer {
    const asked = bytesOf(vfio_device_feature_mig_state, { device_state: state, data_fd: -1 });
    const answer = stateOf(this.card.feature(DEVICE_STATE | SET, asked));
    if (answer.fd >= 0) {
      this.#dataFiles.push(new OwnedDescriptor(answer.fd, "migration data"));
      this.#newestData = answer.fd;
    }
    return answer;
  }

  /** Goes there; gives the descriptor of the data, if there is one. */
  go(state: number): number {
    const { code, fd } = this.setState(state);
    expect(code).toBe("ok");
    return fd;
  }

  reset(): string {
    return askPlainly(this.card.file, { VFIO_DEVICE_RESET });
  }

  /** Writes to the newest file of data. */
  tryFill(bytes: Uint8Array): number | string {
    return outcome(native.write(this.#newestData, bytes));
  }

  fill(bytes: Uint8Array): void {
    expect(this.tryFill(bytes)).toBe(bytes.length);
  }

  /** A copy of a descriptor, for an ioctl. The rig owns the copy. */
  ownCopy(descriptor: number): KernelFile {
    const file = KernelFile.copyOf(realKernel, descriptor, "migration data");
    this.#dataFiles.push(file);
    return file;
  }

  /** `said`: the size that the request claims. */
  precopyInfo(descriptor: number, said = vfio_precopy_info.size): { code: string; initial: bigint; dirty: bigint } {
    const { initial_bytes, dirty_bytes } = vfio_precopy_info.fields;
    const file = this.ownCopy(descriptor);
    const { code, view } = askKernel(file, { VFIO_MIG_GET_PRECOPY_INFO }, vfio_precopy_info, {}, { said });
    return { code, initial: initial_bytes.get(view), dirty: dirty_bytes.get(view) };
  }

  /** Closes all files of data. */
  closeData(): void {
    closeAll(
      "the migration's data",
      this.#dataFiles.splice(0).map((file) => () => file.close()),
    );
  }

  [Symbol.dispose](): void {
    closeAll("the serial card and its data", [() => this.closeData(), () => this.#cardFile[Symbol.dispose]()]);
  }
}

/** What a card sends that did nothing yet. */
export function untouchedState(): Uint8Array {
  using rig = new MigrationRig();
  return readAll(rig.go(VFIO_DEVICE_STATE_STOP_COPY));
}

/** Reads a device's data to their end. */
export function readAll(descriptor: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (;;) {
    const bytes = new Uint8Array(16);
    const count = native.read(descriptor, bytes);
    if (count < 0) throw new Error(`read: ${outcome(count)}`);
    if (count === 0) return Buffer.concat(parts);
    parts.push(bytes.subarray(0, count));
  }
}

function stateOf({ code, payload }: FeatureAnswer): StateAnswer {
  const { device_state, data_fd } = vfio_device_feature_mig_state.fields;
  const view = vfio_device_feature_mig_state.copyOf(payload);
  return { code, state: device_state.get(view), fd: data_fd.get(view) };
}

import { Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { DeviceMigration } from "@vfio-selftests/core/migration";
import {
  VFIO_DEVICE_FEATURE_GET as GET,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE as DEVICE_STATE,
  vfio_device_feature_mig_state,
  VFIO_DEVICE_STATE_STOP_COPY,
} from "@vfio-selftests/core/uapi";
import { skip } from "@vfio-selftests/harness";
import type { StateAnswer, StateRig } from "../../migration/state-rules";
import { codeOfError } from "../raw/code-of-error";

/** A device that can migrate, opened in an address space of its own. Skips the test if it cannot. */
export class MovingRig implements StateRig {
  readonly device: PciDevice;
  readonly migration: DeviceMigration;
  readonly #iommu: Iommu;

  constructor(mode: IommuMode, address: string) {
    this.#iommu = new Iommu(mode.open());
    try {
      this.device = PciDevice.open(this.#iommu, address);
      this.migration = migrationOf(this.device);
    } catch (error) {
      this.#iommu.close();
      throw error;
    }
  }

  state(): StateAnswer {
    const layout = vfio_device_feature_mig_state;
    const view = layout.copyOf(this.device.vfio.feature(DEVICE_STATE | GET, layout.allocate().bytes));
    return { code: "ok", state: layout.fields.device_state.get(view), fd: layout.fields.data_fd.get(view) };
  }

  setState(state: number): StateAnswer {
    const code = codeOfError(() => this.migration.setState(state));
    return { code, state: code === "ok" ? this.state().state : state, fd: -1 };
  }

  reset(): void {
    this.device.reset();
  }

  fill(data: Uint8Array): void {
    this.migration.write(data);
  }

  [Symbol.dispose](): void {
    this.migration[Symbol.dispose]();
    this.#iommu.close();
  }
}

/** Skips the test if the device cannot migrate. */
export function migrationOf(device: PciDevice): DeviceMigration {
  const migration = new DeviceMigration(device.vfio);
  if (migration.features() !== undefined) return migration;
  skip({ reason: `${device.address} cannot migrate`, remedy: "take a device that can: -d model:ioat" });
}

/** What a device saves that has done nothing yet. */
export function untouchedData(mode: IommuMode, address: string): Uint8Array {
  using rig = new MovingRig(mode, address);
  rig.migration.setState(VFIO_DEVICE_STATE_STOP_COPY);
  return rig.migration.readAll();
}

import { Command } from "../../config-space/index";
import type { RegisterFile } from "../../registers/index";
import type { DsaOptions } from "./capabilities";
import { ATS_ENABLE, type DsaConfigRegisters, PASID_ENABLE } from "./config-space";

/** What software allows the device to do, by config space. */
export class PciControl {
  readonly #config: RegisterFile<DsaConfigRegisters>;
  readonly #options: DsaOptions;

  constructor(config: RegisterFile<DsaConfigRegisters>, options: DsaOptions) {
    this.#config = config;
    this.#options = options;
  }

  get busMaster(): boolean {
    return (this.#config.registers.COMMAND.value & Command.busMaster) !== 0;
  }

  get atsEnabled(): boolean {
    return this.#options.ats === true && (this.#config.registers.ATS_CONTROL.value & ATS_ENABLE) !== 0;
  }

  get pasidEnabled(): boolean {
    return this.#options.pasid === true && (this.#config.registers.PASID_CONTROL.value & PASID_ENABLE) !== 0;
  }
}

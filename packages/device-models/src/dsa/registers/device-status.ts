import type { RegistersOf } from "../../registers/index";
import { DeviceState, type DsaRegisters, ResetType } from "./bar0";

const STATE = 0x3;
const RESET_TYPE_SHIFT = 2;

/** The state of the device, as GENSTS shows it (section 9.2.10). */
export class DeviceStatus {
  readonly #registers: RegistersOf<DsaRegisters>;

  constructor(registers: RegistersOf<DsaRegisters>) {
    this.#registers = registers;
  }

  get state(): number {
    return this.#registers.GENSTS.value & STATE;
  }

  set state(state: number) {
    this.#registers.GENSTS.value = state;
  }

  /** Stops everything until a reset of this type. */
  halt(resetType: number): void {
    this.#registers.GENSTS.value = DeviceState.halted | (resetType << RESET_TYPE_SHIFT);
  }

  /** Whether the Reset Device command brings a halted device back. */
  get recoversByCommand(): boolean {
    return (this.#registers.GENSTS.value >>> RESET_TYPE_SHIFT) % 4 === ResetType.software;
  }
}

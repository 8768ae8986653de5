import { type DeviceHost, PciIrq } from "@vfio-selftests/vfio-user";
import type { RegistersOf } from "../registers/index";
import { type DsaRegisters, InterruptCause, InterruptEnable } from "./registers/bar0";
import { DSA, type DsaOptions } from "./registers/capabilities";

/** MSIXPERM (section 9.2.22). */
const PERMISSION_IGNORE = 1 << 2;
const PERMISSION_PASID_ENABLE = 1 << 3;

/** The first handle of Request Interrupt Handle. Handles differ from indexes, so that software must ask for them. */
const FIRST_HANDLE = 0x100;

/** The device's interrupts: causes of vector 0, completion interrupts, and interrupt handles. */
export class Interrupts {
  /** The MSI-X vector of each handle in use. */
  readonly #handles = new Map<number, number>();

  readonly #registers: RegistersOf<DsaRegisters>;
  readonly #options: DsaOptions;
  #host: DeviceHost | undefined;

  constructor(registers: RegistersOf<DsaRegisters>, options: DsaOptions) {
    this.#registers = registers;
    this.#options = options;
  }

  attach(host: DeviceHost): void {
    this.#host = host;
  }

  /** Notes a cause and raises vector 0 (section 9.2.11). */
  raiseCause(cause: number): void {
    this.#registers.INTCAUSE.value |= cause;
    this.#raise(0);
  }

  softwareError(): void {
    if ((this.#registers.GENCTRL.value & InterruptEnable.softwareError) !== 0) {
      this.raiseCause(InterruptCause.softwareError);
    }
  }

  halted(): void {
    if ((this.#registers.GENCTRL.value & InterruptEnable.halt) !== 0) this.raiseCause(InterruptCause.halt);
  }

  /** Raises the completion interrupt of a descriptor whose handle was checked. */
  completion(handle: number): void {
    const vector = this.#vectorOf(handle);
    if (vector === undefined || (this.#permission(vector) & PERMISSION_IGNORE) !== 0) return;
    this.#raise(vector);
  }

  occupancy(handle: number): void {
    const vector = this.#vectorOf(handle);
    if (vector === 0) this.raiseCause(InterruptCause.occupancy);
    else if (vector !== undefined) this.#raise(vector);
  }

  /** Whether no vector has this handle (table 5-2). */
  handleRefused(handle: number): boolean {
    return this.#vectorOf(handle) === undefined;
  }

  /** Whether the entry's permissions keep a descriptor of this address space from it (section 5.4). */
  permissionRefused(handle: number, pasidEnabled: boolean, pasid: number | undefined): boolean {
    const vector = this.#vectorOf(handle);
    if (vector === undefined) return true;
    const permission = this.#permission(vector);
    if (((permission & PERMISSION_PASID_ENABLE) !== 0) !== pasidEnabled) return true;
    return pasidEnabled && permission >>> 12 !== pasid;
  }

  /** Request Interrupt Handle. Undefined if the table has no such entry. Asking again gives the same handle. */
  requestHandle(vector: number): number | undefined {
    if (vector >= DSA.msixVectors) return undefined;
    this.#handles.set(FIRST_HANDLE + vector, vector);
    return FIRST_HANDLE + vector;
  }

  /** Release Interrupt Handle. False if the entry has no handle. */
  releaseHandle(vector: number): boolean {
    return this.#handles.delete(FIRST_HANDLE + vector);
  }

  reset(): void {
    this.#handles.clear();
  }

  #vectorOf(handle: number): number | undefined {
    if (this.#options.interruptHandles === true) return this.#handles.get(handle);
    return handle < DSA.msixVectors ? handle : undefined;
  }

  #permission(vector: number): number {
    return this.#registers.MSIXPERM[vector]?.value ?? 0;
  }

  #raise(vector: number): void {
    this.#host?.raiseInterrupt(PciIrq.msix, vector);
  }
}

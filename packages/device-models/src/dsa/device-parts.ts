import type { RegistersOf } from "../registers/index";
import type { ErrorLog } from "./error-log";
import type { Interrupts } from "./interrupts";
import type { DsaRegisters } from "./registers/bar0";
import type { DeviceStatus } from "./registers/device-status";
import type { PciControl } from "./registers/pci-control";

/** The parts of the device that queues, descriptors and commands use. */
export interface DeviceParts {
  readonly registers: RegistersOf<DsaRegisters>;
  readonly status: DeviceStatus;
  readonly pci: PciControl;
  readonly interrupts: Interrupts;
  readonly errors: ErrorLog;
}

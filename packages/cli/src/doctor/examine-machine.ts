import { type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { type LabHost, thisHost } from "@vfio-selftests/lab";
import { ExitCode } from "../exit-codes";
import { driversToShow } from "../target/choose-drivers";
import { diagnose } from "./diagnosis";
import { diagnosisLines } from "./diagnosis-lines";
import { readMachine } from "./machine/read-machine";

export interface DoctorOptions {
  readonly json?: boolean;
  readonly memoryMiB?: number;
}

/** What the largest test maps on a device: a GiB, and the driver's own region beside it (suites/src/driver/pci-driver.ts). */
const SUITES_MIB = 1026;

/** The `doctor` command. */
export function examineMachine(
  address: string | undefined,
  { json = false, memoryMiB = SUITES_MIB }: DoctorOptions,
  paths: SystemPaths = systemPaths,
  host: LabHost = thisHost(),
): number {
  const { drivers } = driversToShow();
  const machine = readMachine({ named: address, memoryPerDevice: memoryMiB * 2 ** 20, drivers, host, paths });
  const diagnosis = diagnose(machine);
  if (json) console.log(JSON.stringify({ kernel: machine.kernel, ...diagnosis }, undefined, 2));
  else for (const line of diagnosisLines(diagnosis, machine)) console.log(line);
  if (diagnosis.runs.devices) return ExitCode.ok;
  return machine.named === undefined ? ExitCode.nothingRan : ExitCode.failed;
}

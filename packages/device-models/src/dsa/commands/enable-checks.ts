import type { RegistersOf } from "../../registers/index";
import type { DeviceParts } from "../device-parts";
import type { WorkQueue } from "../queues/work-queue";
import { type DsaRegisters, WorkQueueState, WqMode } from "../registers/bar0";
import { DSA, GENCAP, GenCap, OPCAP } from "../registers/capabilities";
import { CommandError } from "./command-error";

type Registers = RegistersOf<DsaRegisters>;

/** One group's configuration, from GRPCFG. */
interface GroupConfiguration {
  readonly workQueues: bigint;
  readonly engines: bigint;
  readonly engineCount: number;
  readonly readBuffersAllowed: number;
  readonly readBuffersReserved: number;
  readonly usesGlobalLimit: boolean;
}

export function groupConfigurations(registers: Registers): GroupConfiguration[] {
  return Array.from({ length: DSA.groups }, (_, i) => {
    const word = (cells: Registers["GRPENGCFG"]) => cells[i]?.value ?? 0n;
    const { GRPWQCFG0, GRPWQCFG1, GRPWQCFG2, GRPWQCFG3 } = registers;
    const engines = word(registers.GRPENGCFG);
    const flags = Number(word(registers.GRPFLAGS));
    return {
      workQueues: word(GRPWQCFG0) | (word(GRPWQCFG1) << 64n) | (word(GRPWQCFG2) << 128n) | (word(GRPWQCFG3) << 192n),
      engines,
      engineCount: countBits(engines),
      readBuffersAllowed: (flags >>> 20) & 0xff,
      readBuffersReserved: (flags >>> 8) & 0xff,
      usesGlobalLimit: (flags & 0x80) !== 0,
    };
  });
}

/** The checks of Enable Device (section 5.1), in a fixed order. */
export function checkDevice(registers: Registers, workQueues: readonly WorkQueue[], busMaster: boolean): number {
  if (!busMaster) return CommandError.busMasterDisabled;
  if (workQueues.reduce((sum, { size }) => sum + size, 0) > DSA.totalWorkQueueSize) return CommandError.workQueueSizes;
  const groups = groupConfigurations(registers);
  if (groups.some((group) => (group.workQueues === 0n) !== (group.engines === 0n))) {
    return CommandError.groupIncomplete;
  }
  if (groups.some((group) => group.workQueues >> BigInt(DSA.workQueues) !== 0n)) return CommandError.groupWorkQueues;
  for (const { index, size } of workQueues) {
    const memberships = groups.filter((group) => ((group.workQueues >> BigInt(index)) & 1n) === 1n).length;
    if (memberships !== (size === 0 ? 0 : 1)) return CommandError.groupWorkQueues;
  }
  if (groups.some((group) => group.engines >> BigInt(DSA.engines) !== 0n)) return CommandError.groupEngines;
  for (let engine = 0n; engine < BigInt(DSA.engines); engine++) {
    if (groups.filter((group) => ((group.engines >> engine) & 1n) === 1n).length > 1) return CommandError.groupEngines;
  }
  return readBuffersAllowed(groups, registers.GENCFG.value & 0xff) ? CommandError.none : CommandError.readBuffers;
}

function readBuffersAllowed(groups: readonly GroupConfiguration[], globalLimit: number): boolean {
  if (globalLimit > DSA.readBuffers) return false;
  const limited = groups.filter(({ usesGlobalLimit }) => usesGlobalLimit);
  const limitedEngines = limited.reduce((sum, { engineCount }) => sum + engineCount, 0);
  if (limited.length > 0 && globalLimit < 4 * limitedEngines) return false;
  const active = groups.filter(({ engineCount }) => engineCount > 0);
  const reserved = active.reduce((sum, { readBuffersReserved }) => sum + readBuffersReserved, 0);
  if (reserved > DSA.readBuffers) return false;
  return active.every(
    (group) =>
      group.readBuffersAllowed >= 4 * group.engineCount &&
      group.readBuffersAllowed >= group.readBuffersReserved &&
      group.readBuffersAllowed <= group.readBuffersReserved + DSA.readBuffers - reserved,
  );
}

/** The checks of Enable WQ (section 5.2) on an enabled device, in a fixed order. */
export function checkWorkQueue(workQueue: WorkQueue, { pci, interrupts }: DeviceParts): number {
  const { mode, operations } = workQueue;
  if (workQueue.state !== WorkQueueState.disabled) return CommandError.workQueueNotDisabled;
  if (workQueue.size === 0) return CommandError.workQueueSizeZero;
  if (workQueue.priority === 0) return CommandError.workQueuePriority;
  if ((mode & WqMode.blockOnFault) !== 0 && (GENCAP & GenCap.blockOnFault) === 0n) return CommandError.blockOnFault;
  if (workQueue.pasidEnabled ? !pci.pasidEnabled : !workQueue.dedicated) return CommandError.pasidEnable;
  const batch = workQueue.maximumBatchShift;
  if (batch === 0 || batch > DSA.maximumBatchShift) return CommandError.maximumBatchSize;
  if (workQueue.maximumTransferShift > DSA.maximumTransferShift) return CommandError.maximumTransferSize;
  // The Privileged Mode Enable bit of the PASID capability is always 0 here.
  if (workQueue.dedicated && workQueue.pasidEnabled && workQueue.privileged) return CommandError.privilege;
  const { handle, ims } = workQueue.occupancyInterrupt;
  if (ims || (handle !== 0 && interrupts.handleRefused(handle))) return CommandError.occupancyInterrupt;
  const [low, ...high] = operations;
  if ((low & ~OPCAP) !== 0n || high.some((word) => word !== 0n)) return CommandError.operationsConfiguration;
  if ((mode & WqMode.pageRequestsDisable) !== 0) return CommandError.pageRequestsDisable;
  return CommandError.none;
}

function countBits(bits: bigint): number {
  let count = 0;
  for (let rest = bits; rest !== 0n; rest &= rest - 1n) count++;
  return count;
}

import { type PciDevice, VfioError } from "@vfio-selftests/core";
import { Command, Flag, GenCap, Opcode, Reg, REGISTERS_BAR, TABLE_UNIT, WqCap } from "./registers";

/** What a device can do and where its tables are. */
export interface Capabilities {
  readonly maximumTransferShift: number;
  readonly maximumBatchShift: number;
  /** Entries of all work queues together. */
  readonly totalWorkQueueSize: number;
  /** 32-bit words of one work queue's configuration. */
  readonly workQueueWords: number;
  readonly atsControl: boolean;
  readonly operationsConfiguration: boolean;
  readonly workQueueTable: number;
  readonly groupTable: number;
  /**
   * Flags of a copy that make the device read back the end of the destination. With ATS off, the device learns of a
   * write that the IOMMU refused in no other way (section 3.13.1). 0: the device cannot read back.
   */
  readonly readback: number;
}

export function readCapabilities(device: PciDevice): Capabilities {
  const bar = device.bar(REGISTERS_BAR);
  const gencap = bar.read64(Reg.GENCAP);
  const wqcap = bar.read64(Reg.WQCAP);
  const offsets = bar.read64(Reg.OFFSETS);
  const capabilities: Capabilities = {
    maximumTransferShift: field(gencap, 16, 5),
    maximumBatchShift: field(gencap, 21, 4),
    totalWorkQueueSize: field(wqcap, 0, 16),
    workQueueWords: 8 << field(wqcap, 24, 4),
    atsControl: (wqcap & WqCap.atsControl) !== 0n,
    operationsConfiguration: (wqcap & WqCap.operationsConfiguration) !== 0n,
    workQueueTable: field(offsets, 16, 16) * TABLE_UNIT,
    groupTable: field(offsets, 0, 16) * TABLE_UNIT,
    readback: readbackFlags(gencap),
  };
  const counts: [name: string, count: number][] = [
    ["work queues", field(wqcap, 16, 8)],
    ["work queue entries", capabilities.totalWorkQueueSize],
    ["groups", field(bar.read64(Reg.GRPCAP), 0, 8)],
    ["engines", field(bar.read64(Reg.ENGCAP), 0, 8)],
  ];
  const missing = counts.filter(([, count]) => count === 0).map(([name]) => name);
  const opcap = bar.read64(Reg.OPCAP);
  if (field(opcap, Opcode.batch, 1) === 0) missing.push("batches");
  if (field(opcap, Opcode.memoryMove, 1) === 0) missing.push("memory moves");
  // DsaInstance divides the members of a batch so that none is left alone.
  if (capabilities.maximumBatchShift < 2) missing.push("batches of four");
  if (missing.length > 0) {
    throw new VfioError(`${device.address} has no ${missing.join(", no ")}`, {
      code: "ERR_NOT_SUPPORTED",
      operation: "dsa create",
      subject: device.address,
    });
  }
  return capabilities;
}

/** Whether descriptors need interrupt handles from a command, as in a virtual device. This driver asks for none. */
export function needsInterruptHandles(device: PciDevice): boolean {
  const bar = device.bar(REGISTERS_BAR);
  if ((bar.read64(Reg.GENCAP) & GenCap.commandCapabilities) === 0n) return false;
  return field(bar.read64(Reg.CMDCAP), Command.requestInterruptHandle, 1) === 1;
}

/** Includes Cache Control where the device has it: without it, later generations take readback for a durable write. */
function readbackFlags(gencap: bigint): number {
  if ((gencap & GenCap.destinationReadback) === 0n) return 0;
  return Flag.destinationReadback | ((gencap & GenCap.cacheControl) === 0n ? 0 : Flag.cacheControl);
}

function field(register: bigint, shift: number, bits: number): number {
  return Number((register >> BigInt(shift)) & ((1n << BigInt(bits)) - 1n));
}

import { pollUntil } from "@vfio-selftests/core/driver";
import { KernelLog } from "@vfio-selftests/harness";

/** How an IOMMU driver words a refused access: the requester, as bus:device.function, and the address. */
const FAULTS = [
  // drivers/iommu/intel/dmar.c, dmar_fault_do_one
  /DMAR: \[DMA .*\] Request device \[(?<requester>[\da-f:.]+)\] fault addr (?<iova>0x[\da-f]+)/,
  // drivers/iommu/amd/iommu.c, amd_iommu_report_page_fault: by the device where the kernel knows it, else by the number
  /^\S+ (?<requester>[\da-f]{4}:[\da-f:.]+): AMD-Vi: Event logged \[IO_PAGE_FAULT .*address=(?<iova>0x[\da-f]+)/,
  /AMD-Vi: Event logged \[IO_PAGE_FAULT device=(?<requester>[\da-f:.]+) .*address=(?<iova>0x[\da-f]+)/,
] as const;

/** Drivers report ten faults in five seconds at most (DEFAULT_RATELIMIT_INTERVAL), whoever provoked the others. */
const REPORT_MS = 15_000;

/**
 * Does something that the IOMMU must refuse, until the kernel reports it. Returns the requester that its log names, as in
 * `0000:02:00.0`.
 */
export function requesterOfFault(iova: bigint, provoke: () => void): string | undefined {
  using log = new KernelLog();
  let requester: string | undefined;
  const isTold = (): boolean => {
    provoke();
    for (const { text } of log.read().records) requester ??= requesterIn(text, iova);
    return requester !== undefined;
  };
  pollUntil(isTold, { timeoutMs: REPORT_MS, what: "the kernel to report the refused access", subject: hex(iova) });
  return requester;
}

function requesterIn(text: string, iova: bigint): string | undefined {
  for (const pattern of FAULTS) {
    const { requester, iova: told } = pattern.exec(text)?.groups ?? {};
    if (requester === undefined || told === undefined || BigInt(told) !== iova) continue;
    return requester.length > "00:00.0".length ? requester : `0000:${requester}`;
  }
  return undefined;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

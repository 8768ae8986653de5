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

/** The kernel's report of a refused access. */
export interface FaultReport {
  /** As in `0000:02:00.0`. */
  readonly requester: string;
  readonly text: string;
}

/** Does something that the IOMMU must refuse, until the kernel reports the refusal at this IOVA. */
export function faultReportOf(iova: bigint, provoke: () => void): FaultReport | undefined {
  using log = new KernelLog();
  let report: FaultReport | undefined;
  const isTold = (): boolean => {
    provoke();
    for (const { text } of log.read().records) {
      const requester = requesterIn(text, iova);
      if (requester !== undefined) report ??= { requester, text };
    }
    return report !== undefined;
  };
  pollUntil(isTold, { timeoutMs: REPORT_MS, what: "the kernel to report the refused access", subject: hex(iova) });
  return report;
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

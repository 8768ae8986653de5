import { native } from "@vfio-selftests/native";

/** Whether the processor stores 64 bytes as one write (MOVDIR64B), as the work queues of accelerators demand. */
export function storesWhole64Bytes(): boolean {
  return native.cpuFeatures().movdir64b;
}

import { systemError } from "@vfio-selftests/core/errors";
import { skip } from "@vfio-selftests/harness";
import { native } from "@vfio-selftests/native";
import { functionCalls } from "../kernel-interrupts";
import type { BareVm } from "./kvm";

const NOP = [0x90];
const WBINVD = [0x0f, 0x09];

/**
 * Lets the VM's guest flush the caches `rounds` times, each time on another CPU than the one on which it ran before. Returns how many
 * function calls the CPU of before took meanwhile: KVM calls it for each flush if a device's DMA may pass the caches by
 * (kvm_emulate_wbinvd_noskip), otherwise for none. Skips the test on a machine with one CPU.
 */
export function callsForFlushes(vm: BareVm, rounds: number): number {
  const cpus = native.getAffinity(0);
  if (typeof cpus === "number") throw systemError(cpus, "sched_getaffinity");
  const [left, next] = cpus;
  if (left === undefined || next === undefined) {
    skip({ reason: "the test may run on one CPU only", remedy: "use a machine with two CPUs" });
  }
  const calls = (): number => functionCalls()[left] ?? 0;
  const before = calls();
  try {
    for (let round = 0; round < rounds; round++) {
      native.setAffinity(0, [left]);
      vm.execute(NOP);
      native.setAffinity(0, [next]);
      vm.execute(WBINVD);
    }
    return calls() - before;
  } finally {
    native.setAffinity(0, cpus);
  }
}

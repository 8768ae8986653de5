import { skip } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../../../suite-target";
import type { Kvm } from "./kvm";

/** The target's KVM. Skips the test where there is none, or where it cannot run the tests' guests. */
export function requireKvm({ kvm }: Pick<SuiteTarget, "kvm">): Kvm {
  if (kvm === undefined) {
    skip({
      reason: "the target has no KVM",
      remedy: 'add `kvm` to the target: import { kvm } from "@vfio-selftests/kvm"',
    });
  }
  if (process.arch !== "x64") {
    skip({ reason: `the guest is for x86_64, and this is ${process.arch}`, remedy: "run on an x86_64 machine" });
  }
  const availability = kvm.availability();
  if (!availability.available) skip(availability);
  return kvm;
}

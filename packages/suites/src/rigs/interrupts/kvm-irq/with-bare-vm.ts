import { skip } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../../../suite-target";
import type { BareVm } from "./kvm";

/** Opens a VM of the target's KVM for one test. Skips the test where there is no KVM. */
export function withBareVm({ kvm }: Pick<SuiteTarget, "kvm">, use: (vm: BareVm) => void): void {
  if (kvm?.openVm === undefined) {
    skip({
      reason: "the target has no KVM",
      remedy: 'add `kvm` to the target: import { kvm } from "@vfio-selftests/kvm"',
    });
  }
  if (process.arch !== "x64") skip({ reason: "the guest is for x86_64", remedy: "run on an x86_64 machine" });
  const availability = kvm.availability();
  if (!availability.available) skip(availability);
  using vm = kvm.openVm();
  use(vm);
}

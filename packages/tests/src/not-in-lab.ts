import { environmentOptions, skip } from "@vfio-selftests/harness";

export function isInLab(): boolean {
  return environmentOptions().lab;
}

/** Skips the tests of the enclosing block or file in the lab's VM: they need no special kernel, and the VM is slow. */
export function notInLab(): void {
  beforeEach(() => {
    if (!isInLab()) return;
    skip({
      reason: "this needs no kernel with devices, and the lab's VM is slow",
      remedy: "run it on the host: pnpm test --filter tests",
    });
  });
}

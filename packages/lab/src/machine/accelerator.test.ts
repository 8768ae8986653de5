import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ARM64 } from "../architecture/arm64";
import { X86_64 } from "../architecture/x86-64";
import { labCache } from "../cache/cache";
import { makeTestHost, type TestHost } from "../testing/test-host";
import { chooseAccelerator } from "./accelerator";
import type { Qemu } from "./qemu";

function addProbedQemu(host: TestHost, says: string): Qemu {
  const program = host.addProgram("qemu", `#!/bin/sh\necho asked >>'${host.folder}/asked'\necho '${says}'\n`);
  return { origin: "system", qemu: [program], virtiofsd: [], version: [11, 1] };
}

function makeHost(): TestHost & { kernel: string; asked: () => number } {
  const host = makeTestHost();
  const kernel = join(host.folder, "bzImage");
  writeFileSync(kernel, "kernel");
  const log = join(host.folder, "asked");
  return Object.assign(host, {
    kernel,
    asked: () => (existsSync(log) ? readFileSync(log, "utf8").split("\n").length - 1 : 0),
  });
}

test("without /dev/kvm there is no question", async () => {
  using host = makeHost();
  const qemu = addProbedQemu(host, "Kernel panic");
  expect(await chooseAccelerator(host, labCache(host), qemu, host.kernel, X86_64)).toBe("tcg");
  expect(host.asked()).toBe(0);
});

test("KVM is used where a kernel starts under it, and asked once", async () => {
  using host = makeHost();
  host.addFile("/dev/kvm", "");
  const qemu = addProbedQemu(host, "Kernel panic - not syncing: VFS: Unable to mount root fs");
  for (let time = 0; time < 2; time++) {
    expect(await chooseAccelerator(host, labCache(host), qemu, host.kernel, X86_64)).toBe("kvm");
  }
  expect(host.asked()).toBe(1);
});

test("a KVM whose guests do not start is not used; another boot of the machine asks again", async () => {
  using host = makeHost();
  host.addFile("/dev/kvm", "");
  host.addFile("/proc/sys/kernel/random/boot_id", "one");
  const qemu = addProbedQemu(host, "");
  expect(await chooseAccelerator(host, labCache(host), qemu, host.kernel, X86_64)).toBe("tcg");
  host.addFile("/proc/sys/kernel/random/boot_id", "two");
  addProbedQemu(host, "Kernel panic");
  expect(await chooseAccelerator(host, labCache(host), qemu, host.kernel, X86_64)).toBe("kvm");
});

test("a CPU that is not the host's is emulated, without a question to KVM", async () => {
  using host = makeHost();
  host.addFile("/dev/kvm", "");
  const qemu = addProbedQemu(host, "Kernel panic");
  expect(await chooseAccelerator(host, labCache(host, ARM64), qemu, host.kernel, ARM64)).toBe("tcg");
  expect(host.asked()).toBe(0);
});

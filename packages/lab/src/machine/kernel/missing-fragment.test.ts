import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { labKernelFragment } from "../../setup/kernel/kernel-fragment";
import { kernelVariants } from "../../setup/kernel/kernel-variants";
import { missingFragment } from "./missing-fragment";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lab-missing-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Writes `.config` with all of the lab's options, but for these lines, which win. */
function write(lines: string, architecture = "x86"): void {
  const { required, wanted } = labKernelFragment();
  const all = [...required, ...wanted].map(({ name, value }) => `${name}=${value}\n`).join("");
  writeFileSync(join(folder, ".config"), `# Linux/${architecture} 6.12.3 Kernel Configuration\n${all}${lines}`);
}

it("has what is needed, wanted and a module, each under its title", () => {
  write(
    "# CONFIG_VFIO_GROUP is not set\nCONFIG_FUSE_FS=m\nCONFIG_KVM=m\nCONFIG_VFIO=m\n# CONFIG_IO_URING is not set\n",
  );
  const text = [
    "# --- Needed:\nCONFIG_FUSE_FS=y\nCONFIG_VFIO_GROUP=y\n",
    "# --- Wanted by tests and people:\nCONFIG_IO_URING=y\n",
    "# --- Modules now, which may stay so with --modules:\nCONFIG_VFIO=y\nCONFIG_KVM=y\n",
  ].join("\n");
  expect(missingFragment(folder, [])).toBe(text);
  expect(missingFragment(join(folder, ".config"), [])).toBe(text);
});

it("is empty where nothing is lacking; more than what is wanted lacks nothing", () => {
  write("CONFIG_NR_CPUS=8192\nCONFIG_IPV6=y\nCONFIG_LOG_BUF_SHIFT=18\n");
  expect(missingFragment(folder, [])).toBe("");
  write("CONFIG_NR_CPUS=8\n");
  expect(missingFragment(folder, [])).toMatch(/Wanted.*\nCONFIG_NR_CPUS=64\n$/);
});

it("has what a variant needs", () => {
  write("");
  expect(missingFragment(folder, kernelVariants(["kasan"]))).toMatch(/^# --- Needed:\nCONFIG_KASAN=y\n/);
});

it("is that of the configuration's CPU", () => {
  write("", "arm64");
  expect(missingFragment(folder, [])).toContain("CONFIG_ARM_SMMU_V3=y");
  expect(missingFragment(folder, [])).not.toContain("X86");
  write("", "riscv");
  expect(() => missingFragment(folder, [])).toThrow(/missing-from is .*; allowed: a configuration for x86_64 or arm64/);
});

it.each(["", "nowhere", "config"])("%j, where no configuration is, is refused", (name) => {
  writeFileSync(join(folder, "config"), "[core]\n");
  mkdirSync(join(folder, "folder"));
  expect(() => missingFragment(join(folder, name), [])).toThrow(/allowed: a \.config/);
});

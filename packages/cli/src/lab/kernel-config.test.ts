import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeLackingOptions, labKernelConfig } from "./kernel-config";

let folder = "";
let printed = "";
let told = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lab-config-"));
  printed = told = "";
  jest.spyOn(process.stdout, "write").mockImplementation((text) => ((printed += String(text)), true));
  jest.spyOn(process.stderr, "write").mockImplementation((text) => ((told += String(text)), true));
});
afterEach(() => {
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

/** Makes a built kernel tree whose configuration has all of the lab's options, but for these lines, which win. */
async function makeTree(lines: string): Promise<void> {
  await labKernelConfig({});
  const all = printed;
  printed = "";
  writeFileSync(join(folder, ".config"), `# Linux/x86 6.12.3 Kernel Configuration\n${all}${lines}`);
  const image = Buffer.alloc(4096);
  image.write("HdrS", 0x202);
  mkdirSync(join(folder, "arch/x86/boot"), { recursive: true });
  writeFileSync(join(folder, "arch/x86/boot/bzImage"), image);
}

test("`lab kernel-config` prints the whole fragment, or only what is missing from a configuration", async () => {
  expect(await labKernelConfig({ with: ["kasan"] })).toBe(0);
  expect(printed).toMatch(/^CONFIG_VFIO=y$[^]*^CONFIG_KASAN=y$/m);
  printed = "";
  await makeTree("# CONFIG_VFIO is not set\n");
  expect(await labKernelConfig({ missingFrom: folder })).toBe(0);
  expect(printed).toBe("# --- Needed:\nCONFIG_VFIO=y\n");
  expect(told).toBe("");
});

test("where nothing is missing it says so, and prints nothing", async () => {
  await makeTree("");
  expect(await labKernelConfig({ missingFrom: folder })).toBe(0);
  expect([printed, told]).toEqual(["", "the configuration has all options\n"]);
});

test("a line before the boot counts what the tests want, and has the command that shows it", async () => {
  await makeTree("CONFIG_KVM=m\n# CONFIG_IO_URING is not set\n");
  const command = `vfio-selftests lab kernel-config --missing-from ${join(folder, ".config")}`;
  expect(describeLackingOptions({ kernel: folder })).toMatch(
    /^the kernel lacks 2 of the options that tests want.* shows them$/,
  );
  expect(describeLackingOptions({ kernel: folder })).toContain(command);
  expect(describeLackingOptions({ kernel: folder, modules: "/modules" })).toContain("lacks 1 of");
  await makeTree("");
  expect(describeLackingOptions({ kernel: folder })).toBeUndefined();
  expect(describeLackingOptions({})).toBeUndefined();
});

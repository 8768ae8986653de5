import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeTestHost, type TestHost } from "../../testing/test-host";
import { buildKernel } from "./kernel-build";
import { makeKernelFragment } from "./kernel-fragment";

/** A make that writes its targets to a log, makes what the kernel's makes, and fails at `bzImage` as often as told. */
function addFakeMake(host: TestHost, options: { olddefconfig?: string; failures?: number } = {}): () => string[] {
  const log = join(host.folder, "make.log");
  const failures = join(host.folder, "failures");
  mkdirSync(failures);
  for (let count = 0; count < (options.failures ?? 0); count++) writeFileSync(join(failures, String(count)), "");
  host.addProgram(
    "make",
    `#!/bin/sh
for word in "$@"; do case $word in O=*) build=\${word#O=} ;; *) target=$word ;; esac; done
echo "$target" >>'${log}'
case $target in
  tinyconfig) echo 'CONFIG_TINY=y' >"$build/.config" ;;
  olddefconfig) ${options.olddefconfig ?? ":"} ;;
  bzImage)
    for failure in '${failures}'/*; do
      [ -e "$failure" ] && { rm "$failure"; echo 'compiler: out of memory' >&2; exit 2; }
    done
    mkdir -p "$build/arch/x86/boot" && echo image >"$build/arch/x86/boot/bzImage" ;;
esac
`,
  );
  return () => readFileSync(log, "utf8").trim().split("\n");
}

function prepare(host: TestHost) {
  const folders = { work: join(host.folder, "work"), kernels: join(host.folder, "kernels") };
  const source = { version: "7.2.12-1", folder: join(folders.work, "source") };
  mkdirSync(source.folder, { recursive: true });
  const fragment = makeKernelFragment("CONFIG_VFIO=y\n", "CONFIG_KVM=y\n");
  return { folders, source, fragment, build: async () => buildKernel(host, source, fragment, folders, {}) };
}

test("a kernel is configured from tinyconfig and the fragment, and kept with its configuration", async () => {
  using host = makeTestHost();
  const targets = addFakeMake(host);
  const { build, source } = prepare(host);
  const { image, lost } = await build();
  expect(targets()).toEqual(["tinyconfig", "olddefconfig", "bzImage"]);
  expect(readFileSync(image, "utf8")).toBe("image\n");
  expect(readFileSync(join(image, "../config"), "utf8")).toBe("CONFIG_TINY=y\n\nCONFIG_VFIO=y\nCONFIG_KVM=y\n");
  expect(lost).toEqual([]);
  expect(existsSync(source.folder)).toBe(false);
});

test("a required option that does not survive is an error with its name", async () => {
  using host = makeTestHost();
  addFakeMake(host, { olddefconfig: `echo '# CONFIG_VFIO is not set' >"$build/.config"` });
  const { build, folders } = prepare(host);
  await expect(build()).rejects.toMatchObject({
    code: "ERR_LAB_KERNEL_CONFIG",
    message: expect.stringContaining("CONFIG_VFIO=y (is n)") as string,
  });
  expect(existsSync(folders.kernels)).toBe(false);
});

test("a wanted option that does not survive is told", async () => {
  using host = makeTestHost();
  addFakeMake(host, { olddefconfig: `printf 'CONFIG_VFIO=y\\n# CONFIG_KVM is not set\\n' >"$build/.config"` });
  expect((await prepare(host).build()).lost).toEqual([{ name: "CONFIG_KVM", value: "y", actual: "n" }]);
});

test("a build that broke off goes on where it was, and its error has the compiler's words", async () => {
  using host = makeTestHost();
  const targets = addFakeMake(host, { failures: 1 });
  const { build, folders } = prepare(host);
  await expect(build()).rejects.toThrow(/\| compiler: out of memory[^]*kernel-build\.log/);
  expect(existsSync(folders.kernels)).toBe(false);
  await build();
  expect(targets()).toEqual(["tinyconfig", "olddefconfig", "bzImage", "bzImage"]);
});

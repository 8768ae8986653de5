import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeTestHost, type TestHost } from "../../testing/test-host";
import { buildKernel } from "./kernel-build";
import { makeKernelFragment } from "./kernel-fragment";

/** This machine's ccache may be there, too. */
const withoutCcache = (calls: string[]): string[] => calls.map((call) => call.replace(" CC=ccache gcc", ""));

/** A make that writes its targets and variables to a log, makes what the kernel's makes, and fails at `bzImage` as often as told. */
function addFakeMake(
  host: TestHost,
  options: { olddefconfig?: string; failures?: number; complaint?: string } = {},
): () => string[] {
  const log = join(host.folder, "make.log");
  const failures = join(host.folder, "failures");
  mkdirSync(failures, { recursive: true });
  for (let count = 0; count < (options.failures ?? 0); count++) writeFileSync(join(failures, String(count)), "");
  host.addProgram(
    "make",
    `#!/bin/sh
variables=
others=
for word in "$@"; do
  case $word in
    O=*) build=\${word#O=} ;;
    scripts_*) others="$others $word" ;;
    *=*) variables="$variables $word" ;;
    *) target=$word ;;
  esac
done
echo "$target$variables$others" >>'${log}'
case $target in
  tinyconfig) echo 'CONFIG_TINY=y' >"$build/.config" ;;
  olddefconfig) ${options.olddefconfig ?? ":"} ;;
  bzImage)
    for failure in '${failures}'/*; do
      [ -e "$failure" ] && { rm "$failure"; echo '${options.complaint ?? "compiler: out of memory"}' >&2; exit 2; }
    done
    mkdir -p "$build/arch/x86/boot" && echo image >"$build/arch/x86/boot/bzImage" ;;
esac
`,
  );
  return () => readFileSync(log, "utf8").trim().split("\n");
}

function prepare(host: TestHost) {
  const tree = join(host.folder, "source");
  mkdirSync(tree, { recursive: true });
  const places = {
    build: join(host.folder, "build"),
    kernel: join(host.folder, "kernels", "mine"),
    log: join(host.folder, "kernel-build.log"),
    lock: join(host.folder, "build.lock"),
  };
  const fragment = makeKernelFragment("CONFIG_VFIO=y\n", "CONFIG_KVM=y\n");
  const recipe = { name: "mine", tree, fragment, makeVariables: ["GCOV_PROFILE=y"] };
  return { places, recipe, build: async (changed = {}) => buildKernel(host, { ...recipe, ...changed }, places) };
}

test("a kernel is configured from tinyconfig and the fragment, and kept with its configuration", async () => {
  using host = makeTestHost();
  const calls = addFakeMake(host);
  const { build, places } = prepare(host);
  expect(await build()).toEqual([]);
  expect(withoutCcache(calls())).toEqual(["tinyconfig", "olddefconfig", "bzImage GCOV_PROFILE=y"]);
  expect(readFileSync(join(places.kernel, "bzImage"), "utf8")).toBe("image\n");
  expect(readFileSync(join(places.kernel, "config"), "utf8")).toBe("CONFIG_TINY=y\n\nCONFIG_VFIO=y\nCONFIG_KVM=y\n");
});

test("what a variant needs beside the image is built with it", async () => {
  using host = makeTestHost();
  const calls = addFakeMake(host);
  await prepare(host).build({ makeTargets: ["scripts_gdb"] });
  expect(withoutCcache(calls()).at(-1)).toBe("bzImage GCOV_PROFILE=y scripts_gdb");
});

test("ccache compiles where it is installed", async () => {
  using host = makeTestHost();
  host.addProgram("ccache", "#!/bin/sh\n");
  const calls = addFakeMake(host);
  await prepare(host).build();
  expect(calls()).toEqual([
    "tinyconfig CC=ccache gcc",
    "olddefconfig CC=ccache gcc",
    "bzImage CC=ccache gcc GCOV_PROFILE=y",
  ]);
});

test("a required option that does not survive is an error with its name", async () => {
  using host = makeTestHost();
  addFakeMake(host, { olddefconfig: `echo '# CONFIG_VFIO is not set' >"$build/.config"` });
  const { build, places } = prepare(host);
  await expect(build()).rejects.toMatchObject({
    code: "ERR_LAB_KERNEL_CONFIG",
    message: expect.stringContaining("CONFIG_VFIO=y (is n)") as string,
  });
  expect(existsSync(places.kernel)).toBe(false);
});

test("a kernel older than a required option does without, and the option is told", async () => {
  using host = makeTestHost();
  const config = (version: string, options: string): string =>
    `printf '# Linux/x86 ${version} Kernel Configuration\\n${options}' >"$build/.config"`;
  addFakeMake(host, { olddefconfig: config("6.1.192", "CONFIG_KVM=y\\n") });
  const { build } = prepare(host);
  const fragment = makeKernelFragment("CONFIG_IOMMUFD=y\n", "CONFIG_KVM=y\n");
  expect(await build({ fragment })).toEqual([{ name: "CONFIG_IOMMUFD", value: "y", actual: "n" }]);
  addFakeMake(host, { olddefconfig: config("6.12.1", "CONFIG_KVM=y\\n") });
  await expect(build({ fragment })).rejects.toThrow("CONFIG_IOMMUFD=y (is n)");
});

test("a wanted option that does not survive is told", async () => {
  using host = makeTestHost();
  addFakeMake(host, { olddefconfig: `printf 'CONFIG_VFIO=y\\n# CONFIG_KVM is not set\\n' >"$build/.config"` });
  expect(await prepare(host).build()).toEqual([{ name: "CONFIG_KVM", value: "y", actual: "n" }]);
});

test("a build that broke off goes on where it was, and its error has the compiler's words", async () => {
  using host = makeTestHost();
  const calls = addFakeMake(host, { failures: 1 });
  const { build, places } = prepare(host);
  await expect(build()).rejects.toThrow(/\| compiler: out of memory[^]*kernel-build\.log/);
  expect(existsSync(places.kernel)).toBe(false);
  await build();
  const bzImage = "bzImage GCOV_PROFILE=y";
  // The tree may have changed meanwhile, and with it the options that it has.
  expect(withoutCcache(calls())).toEqual(["tinyconfig", "olddefconfig", bzImage, "olddefconfig", bzImage]);
});

test("the first line of a failed build names make and the first error", async () => {
  using host = makeTestHost();
  addFakeMake(host, { failures: 1, complaint: "../drivers/a.c:7:2: error: #error broken" });
  await expect(prepare(host).build()).rejects.toThrow(
    /^make failed: exit status 2: \.\.\/drivers\/a\.c:7:2: error: #error broken\n/,
  );
});

test("other options are configured anew in the kept build folder, and the kernel from before is replaced", async () => {
  using host = makeTestHost();
  const calls = addFakeMake(host);
  const { build, places } = prepare(host);
  await build();
  await build({ fragment: makeKernelFragment("CONFIG_VFIO=y\nCONFIG_KASAN=y\n", "") });
  expect(withoutCcache(calls()).filter((call) => call === "tinyconfig")).toHaveLength(2);
  expect(readFileSync(join(places.kernel, "config"), "utf8")).toContain("CONFIG_KASAN=y");
});

test("a full disk is told as such, and the kernel from before stays", async () => {
  using host = makeTestHost();
  addFakeMake(host);
  const { build, places } = prepare(host);
  await build();
  addFakeMake(host, { failures: 1, complaint: "fatal error: cannot write: No space left on device" });
  await expect(build()).rejects.toMatchObject({ code: "ENOSPC", remedy: expect.stringContaining("goes on") as string });
  expect(existsSync(join(places.kernel, "bzImage"))).toBe(true);
});

test("kernels of the same options are compiled with the same paths, wherever their sources are", async () => {
  using host = makeTestHost();
  addFakeMake(host);
  const { build, places, recipe } = prepare(host);
  writeFileSync(join(recipe.tree, "Makefile"), "from the tree\n");
  await build({ isShared: true });
  // The second time goes on in the same folder.
  await build({ isShared: true });
  expect(existsSync(join(places.kernel, "bzImage"))).toBe(true);
  expect(existsSync(join(places.build, "arch/x86/boot/bzImage"))).toBe(true);
  expect(readFileSync(join(realpathSync(places.build), "../Makefile"), "utf8")).toBe("from the tree\n");
});

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ARM64 } from "../architecture/arm64";
import { labCache, readJson, writeJson } from "../cache/cache";
import { takeCacheLock } from "../cache/cache-lock";
import { silentProgress } from "../host/progress";
import { addFakeQemu, type FakeQemu } from "../testing/fake-qemu";
import { KERNEL_IMAGE, makeTestHost, type TestHost } from "../testing/test-host";
import { DEBIAN_KEY_RING } from "./debian/key-ring";
import { builtKernel } from "./kernel/built-kernels";
import { requireKeptBuild } from "./kernel/kept-builds";
import { fragmentText, labKernelFragment, makeKernelFragment } from "./kernel/kernel-fragment";
import { labPatch } from "./kernel/lab-patches";
import { buildLabKernel, setupLab } from "./setup";

const BOOTS = `guest.send("ready 1"); guest.stdout("7.2.12\\n"); guest.endStreams(); guest.send("exit 0");`;

function makeHost(fake: FakeQemu, options: Parameters<typeof makeTestHost>[0] = {}): TestHost & { kernel: string } {
  const host = makeTestHost(options);
  addFakeQemu(host, fake);
  const kernel = join(host.folder, "bzImage");
  writeFileSync(kernel, KERNEL_IMAGE);
  return Object.assign(host, { kernel });
}

const failsWith = (code: string, message: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string });

test("a system QEMU and an image of one's own make a lab; the second set-up does nothing", async () => {
  using host = makeHost({ guest: BOOTS });
  const first = await setupLab({ host, kernel: host.kernel });
  expect(first).toMatchObject({ changed: true, kernel: host.kernel, qemu: { origin: "system", version: [11, 1] } });
  const before = Date.now() - 60_000;
  utimesSync(labCache(host).state, before / 1000, before / 1000);
  expect(await setupLab({ host, kernel: host.kernel })).toEqual({ ...first, changed: false });
});

test("of two first set-ups at once the second waits, says so, and finds all there", async () => {
  using host = makeHost({ guest: BOOTS });
  const steps: string[] = [];
  const progress = { ...silentProgress, step: (title: string) => void steps.push(title) };
  const results = await Promise.all([1, 2].map(() => setupLab({ host, kernel: host.kernel }, progress)));
  expect(results.map(({ changed }) => changed).sort()).toEqual([false, true]);
  expect(steps.filter((step) => step.startsWith("waiting for another set-up (process "))).toHaveLength(1);
  expect(steps.filter((step) => step === "first boot")).toHaveLength(1);
});

test("a kernel that does not boot is refused, and the lab from before stays", async () => {
  using host = makeHost({ guest: BOOTS });
  await setupLab({ host, kernel: host.kernel });
  const state = readJson(labCache(host).state);
  addFakeQemu(host, { guest: `guest.console("not a kernel\\n"); setTimeout(() => process.exit(0), 200);` });
  const other = join(host.folder, "other");
  writeFileSync(other, KERNEL_IMAGE);
  await expect(setupLab({ host, kernel: other })).rejects.toEqual(failsWith("ERR_LAB_BOOT", /\| not a kernel/));
  expect(readJson(labCache(host).state)).toEqual(state);
});

test("a guest that cannot run the command is refused", async () => {
  using host = makeHost({ guest: BOOTS.replace("exit 0", "exit 1") });
  await expect(setupLab({ host, kernel: host.kernel })).rejects.toEqual(failsWith("ERR_LAB_BOOT", /does not work/));
  expect(existsSync(labCache(host).state)).toBe(false);
});

test("a kernel built before from the same options is used; one from other options is not", async () => {
  using host = makeHost({ guest: BOOTS });
  const { kernels } = labCache(host);
  const fragment = labKernelFragment();
  const { key } = fragment;
  const others = [1, 2, 3, 4].map((age) => ({ name: `9.0-${age}-0123456789ab`, age }));
  for (const { name, age } of [{ name: `7.2.9-1-${key}`, age: 9 }, { name: `7.2.12-1-${key}`, age: 9 }, ...others]) {
    mkdirSync(join(kernels, name), { recursive: true });
    writeFileSync(join(kernels, name, "bzImage"), KERNEL_IMAGE);
    writeFileSync(join(kernels, name, "config"), fragmentText(fragment));
    const used = Date.now() / 1000 - age * 3600;
    utimesSync(join(kernels, name), used, used);
  }
  const result = await setupLab({ host });
  expect(result.kernel).toBe(join(kernels, `7.2.12-1-${key}`, "bzImage"));
  expect(builtKernel(kernels, makeKernelFragment("CONFIG_OTHER=y", ""))).toBeUndefined();
  // Those used last stay, for the other checkouts that want them.
  expect(readdirSync(kernels).sort()).toEqual([`7.2.12-1-${key}`, ...others.slice(0, 3).map(({ name }) => name)]);
});

test("a changed option fragment makes the lab not ready", async () => {
  using host = makeHost({ guest: BOOTS });
  await setupLab({ host, kernel: host.kernel });
  writeJson(labCache(host).state, { ...(readJson(labCache(host).state) as object), fragment: "0123456789ab" });
  await expect(setupLab({ host })).rejects.toEqual(failsWith("ERR_LAB_TOOLS_MISSING", /making a kernel needs/));
});

test("a lab with another CPU is set up beside the host's, with a tree for its guest", async () => {
  using host = makeHost({ guest: BOOTS, program: "qemu-system-aarch64" });
  host.addFile("/etc/apt/sources.list", "deb http://mirror.invalid/debian bookworm main\n");
  for (const name of ["apt-get", "apt-config"]) host.addProgram(name, "#!/bin/sh\n");
  host.addProgram("mmdebstrap", '#!/bin/sh\nwhile [ $# -gt 2 ]; do shift; done\nmkdir -p "$1/etc"\n');
  host.addProgram("npm", FAKE_NPM);
  const kernel = join(host.folder, "Image");
  writeFileSync(kernel, Buffer.concat([Buffer.alloc(56), Buffer.from("ARMd"), Buffer.alloc(1000)]));
  const cache = labCache(host, ARM64);
  const first = await setupLab({ host, arch: "arm64", kernel });
  expect(first).toMatchObject({ changed: true, kernel, guestRoot: cache.guestRoot });
  expect(existsSync(join(cache.guestRoot, "usr/bin/node"))).toBe(true);
  expect(await setupLab({ host, arch: "arm64", kernel })).toEqual({ ...first, changed: false });
  expect(existsSync(labCache(host).state)).toBe(false);
  rmSync(cache.guestRoot, { recursive: true });
  expect(await setupLab({ host, arch: "arm64", kernel })).toEqual(first);
});

/** As npm does, it packs a package into the folder, and prints the archive's name. */
const FAKE_NPM = `#!/bin/sh
for word; do case $word in --pack-destination=*) to=\${word#*=} ;; esac; done
mkdir -p package/bin && touch package/bin/node && tar -czf "$to/some.tgz" package && echo some.tgz
`;

test("a QEMU that is too old is refused where a Debian root is not wanted", async () => {
  using host = makeHost({ version: "7.2.17" });
  await expect(setupLab({ host, qemu: "system", kernel: host.kernel })).rejects.toEqual(
    failsWith("ERR_LAB_QEMU_TOO_OLD", /7\.2 is too old/),
  );
});

test("a Debian root comes from Debian's own mirror where the system names none, and no advice touches its sources", async () => {
  using host = makeHost({ version: "7.2.17" });
  host.addProgram("mmdebstrap", "#!/bin/sh\nexit 1\n");
  host.addProgram("apt-get", "#!/bin/sh\nexit 1\n");
  host.addFile("/etc/ssl/certs/ca-certificates.crt", "");
  await expect(setupLab({ host, kernel: host.kernel })).rejects.toEqual(
    failsWith("ERR_LAB_NO_MIRROR", /tried https:\/\/deb\.debian\.org\/debian\)(?![^]*sources)/),
  );
  const sources = readFileSync(join(labCache(host).work, "apt/sources.d/lab.sources"), "utf8");
  expect(sources).toContain(`Signed-By: ${DEBIAN_KEY_RING}\n`);
});

/** A machine with all that building a kernel takes; `aptGet` is the script that apt-get is. */
function makeBuildHost(aptGet: string): ReturnType<typeof makeHost> {
  const host = makeHost({});
  host.addFile("/etc/apt/sources.list", "deb http://mirror.invalid/archive bookworm main\n");
  host.addFile("/usr/include/gelf.h", "");
  host.addProgram("apt-get", aptGet);
  for (const tool of ["flex", "bison", "bc", "dpkg-deb", "perl", "xz", "make", "gcc", "ld"]) {
    host.addProgram(tool, "#!/bin/sh\n");
  }
  return host;
}

describe("a kernel of the user's choice", () => {
  /** A make whose kernel has all that its configuration asks for; a compiler that fails once per file in `failures`. */
  function makeKernelHost(): ReturnType<typeof makeHost> {
    const host = makeBuildHost("#!/bin/sh\nexit 100\n");
    addFakeQemu(host, { guest: BOOTS });
    host.addProgram(
      "make",
      `#!/bin/sh
for word in "$@"; do case $word in O=*) build=\${word#O=} ;; *=*) ;; *) target=$word ;; esac; done
echo "$target" >>'${host.folder}/make.log'
case $target in
  tinyconfig) : >"$build/.config" ;;
  bzImage)
    mkdir -p "$build/arch/x86/boot"
    [ ! -e '${host.folder}/broken' ] || { echo 'a.c:1: error' >&2; exit 2; }
    if [ -e '${host.folder}/misfit' ] && [ -e "$2/samples/vfio-mdev/mpin.c" ]; then
      echo 'make[2]: *** [scripts/Makefile.build:289: samples/vfio-mdev/mpin.o] Error 1' >&2; exit 2
    fi
    cp '${host.kernel}' "$build/arch/x86/boot/bzImage" ;;
esac
`,
    );
    const source = join(labCache(host).sources, "linux-source-7.2_7.2.12-1");
    for (const part of labPatch().folders) mkdirSync(join(source, part), { recursive: true });
    return host;
  }

  test("is built from sources that are there, beside the lab's own, and is found by the same choice", async () => {
    using host = makeKernelHost();
    await setupLab({ host, kernel: host.kernel });
    const own = readJson(labCache(host).state);
    const built = await buildLabKernel({ host, variants: ["lockdep", "kasan"] });
    expect(built).toMatchObject({ variants: ["kasan", "lockdep"], parameters: ["kasan_multi_shot"] });
    expect(existsSync(join(built.tree, "samples/vfio-mdev/mpin.c"))).toBe(true);
    expect(requireKeptBuild(labCache(host), { variants: ["kasan", "lockdep"] })).toEqual(built);
    expect(readJson(labCache(host).state)).toEqual(own);
    expect(() => requireKeptBuild(labCache(host), { variants: ["kasan"] })).toThrow(
      failsWith("ERR_LAB_KERNEL_NOT_BUILT", /--with kasan/) as Error,
    );
  });

  test("without a lab the first one is QEMU's finder, too, but not the lab's own kernel", async () => {
    using host = makeKernelHost();
    const built = await buildLabKernel({ host, variants: ["gcov"] });
    expect(readJson(labCache(host).state)).toMatchObject({ kernel: built.image, fragment: built.key });
    // A run without a choice wants a kernel of its own, for which this machine has no mirror.
    await expect(setupLab({ host })).rejects.toEqual(failsWith("ERR_LAB_NO_MIRROR", /mirror/));
  });

  test("a tree that does not build leaves the kernel of before, and goes on when it is mended", async () => {
    using host = makeKernelHost();
    const tree = join(host.folder, "linux");
    for (const file of [
      "Makefile",
      "Kconfig",
      "arch/x86/Kconfig",
      "drivers/vfio/Makefile",
      "scripts/kconfig/Makefile",
    ]) {
      mkdirSync(dirname(join(tree, file)), { recursive: true });
      writeFileSync(join(tree, file), "");
    }
    const choice = { host, tree, variants: ["gcov"] };
    const built = await buildLabKernel(choice);
    writeFileSync(join(host.folder, "broken"), "");
    await expect(buildLabKernel(choice)).rejects.toEqual(failsWith("ERR_LAB_PROGRAM_FAILED", /a\.c:1: error/));
    expect(requireKeptBuild(labCache(host), choice)).toEqual(built);
    rmSync(join(host.folder, "broken"));
    await buildLabKernel(choice);
    // Configured once: the build folder was kept.
    const targets = readFileSync(join(host.folder, "make.log"), "utf8").trim().split("\n");
    expect(targets).toEqual(["tinyconfig", ...Array<string[]>(3).fill(["olddefconfig", "bzImage"]).flat()]);
  });

  test("a source that a patch of the lab's does not fit is built without it, which is told", async () => {
    using host = makeKernelHost();
    writeFileSync(join(host.folder, "misfit"), "");
    const told: string[] = [];
    const progress = { ...silentProgress, done: (text: string) => void told.push(text) };
    const built = await buildLabKernel({ host, variants: ["gcov"] }, progress);
    expect(existsSync(join(built.tree, "samples/vfio-mdev/mpin.c"))).toBe(false);
    expect(told.join("\n")).toContain("without the lab's patch mpin, which does not fit this source");
  });

  test("a patch makes a kernel of its own", async () => {
    using host = makeKernelHost();
    const folder = join(labCache(host).sources, "linux-source-7.2_7.2.12-1/drivers");
    writeFileSync(join(folder, "a.c"), "int a;\n");
    const apply = (tree: string): void => writeFileSync(join(tree, "drivers/a.c"), "int fault;\n");
    const built = await buildLabKernel({ host, variants: [], patch: { name: "fault", folders: ["drivers"], apply } });
    expect(readFileSync(join(built.tree, "drivers/a.c"), "utf8")).toBe("int fault;\n");
    expect(requireKeptBuild(labCache(host), { variants: [], patch: { name: "fault" } })).toEqual(built);
    expect(() => requireKeptBuild(labCache(host), { variants: [] })).toThrow("was not built yet");
  });

  test("what is wrong with the choice is told before anything is done", async () => {
    using host = makeKernelHost();
    await expect(buildLabKernel({ host, variants: ["kazan"] })).rejects.toEqual(
      failsWith("ERR_INVALID_ARGUMENT", /"kazan"; allowed: kasan, /),
    );
    await expect(buildLabKernel({ host, variants: [], tree: host.folder })).rejects.toEqual(
      failsWith("ERR_LAB_KERNEL_TREE", /no Linux source tree/),
    );
    expect(existsSync(labCache(host).builds)).toBe(false);
  });
});

test("a mirror that does not serve the suite is named with what apt said", async () => {
  using host = makeBuildHost("#!/bin/sh\necho 'E: no Release file' >&2\nexit 100\n");
  await expect(setupLab({ host })).rejects.toEqual(
    failsWith("ERR_LAB_NO_MIRROR", /http:\/\/mirror\.invalid\/archive[^]*E: no Release file/),
  );
});

test("another architecture is refused", async () => {
  using host = makeHost({}, { architecture: "arm64" });
  await expect(setupLab({ host })).rejects.toEqual(failsWith("ERR_LAB_ARCHITECTURE", /arm64/));
});

test("too little disk space is refused before anything is fetched", async () => {
  using host = makeHost({}, { freeBytes: 2 ** 30 });
  host.addFile("/etc/apt/sources.list", "deb http://mirror.invalid/archive bookworm main\n");
  await expect(setupLab({ host })).rejects.toEqual(failsWith("ENOSPC", /3072 MiB needed, 1024 MiB free/));
  expect(existsSync(labCache(host).work)).toBe(false);
});

test("a kernel image that is not there is refused", async () => {
  using host = makeHost({});
  await expect(setupLab({ host, kernel: join(host.folder, "none") })).rejects.toEqual(
    failsWith("ERR_LAB_NO_IMAGE", /does not exist/),
  );
  expect(existsSync(dirname(labCache(host).state))).toBe(false);
});

test("an interrupt ends the set-up with a remedy and frees the lock", async () => {
  using host = makeBuildHost("#!/bin/sh\nsleep 60\n");
  const result = setupLab({ host });
  setTimeout(() => process.emit("SIGINT", "SIGINT"), 500);
  await expect(result).rejects.toEqual(failsWith("ERR_LAB_INTERRUPTED", /goes on where it stopped/));
  const never = new AbortController().signal;
  const onWait = (): void => {
    throw new Error("the lock is held");
  };
  using _lock = await takeCacheLock(host, labCache(host).lock, { signal: never, onWait });
});

test("a patch that knows what to do about a failed build is applied again, until the build succeeds", async () => {
  using host = makeBuildHost("#!/bin/sh\n");
  addFakeQemu(host, { guest: BOOTS });
  const source = join(labCache(host).sources, "linux-source-7.2_7.2.12-1");
  mkdirSync(join(source, "drivers/vfio"), { recursive: true });
  writeFileSync(join(source, "drivers/vfio/vfio.c"), "good\n");
  host.addProgram(
    "make",
    `#!/bin/sh
for word in "$@"; do
  case $word in -C | -j* | --*) ;; O=*) build=\${word#O=} ;; *=*) ;; /*) tree=$word ;; *) target=$word ;; esac
done
case $target in
  tinyconfig) : >"$build/.config" ;;
  bzImage)
    grep -H bad "$tree/drivers/vfio/vfio.c" && exit 2
    mkdir -p "$build/arch/x86/boot" && cp '${host.kernel}' "$build/arch/x86/boot/bzImage" ;;
esac
`,
  );
  const outputs: string[] = [];
  const faults = ["bad 1", "bad 2"];
  const patch = (mendable: boolean) => ({
    name: "faults",
    folders: ["drivers/vfio"],
    apply: (tree: string) => writeFileSync(join(tree, "drivers/vfio/vfio.c"), faults.join("\n")),
    afterFailure(output: string) {
      outputs.push(output);
      faults.pop();
      return mendable;
    },
  });
  const failure = failsWith("ERR_LAB_PROGRAM_FAILED", /bad 1/);
  await expect(buildLabKernel({ host, variants: [], patch: patch(false) })).rejects.toEqual(failure);
  faults.push("bad 2");
  const built = await buildLabKernel({ host, variants: [], patch: patch(true) });
  expect(existsSync(built.image)).toBe(true);
  expect(outputs.map((output) => output.match(/bad \d/g))).toEqual([["bad 1", "bad 2"], ["bad 1", "bad 2"], ["bad 1"]]);
  expect(readFileSync(join(source, "drivers/vfio/vfio.c"), "utf8")).toBe("good\n");
});

import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DEFAULT_ARCHITECTURE, parseArchitecture } from "../../architecture/architecture";
import { fragmentText, isOfVersion, labKernelFragment } from "../../setup/kernel/kernel-fragment";
import { requireKernel } from "./required-kernel";

const { required, wanted } = labKernelFragment();

let folder = "";
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "lab-kernel-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Writes an x86 image with this release in its header. */
function image(path: string, release = "6.12.3"): string {
  const bytes = Buffer.alloc(0x1000);
  bytes.write("HdrS", 0x202, "latin1");
  bytes.writeUInt16LE(0x600, 0x20e);
  bytes.write(`${release} (me@here) #1 SMP\0`, 0x800, "latin1");
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, bytes);
  return file;
}

/** The text of a configuration with all of the lab's options, but for these values. */
function configText(changes: Readonly<Record<string, string>> = {}, version = "6.12.3"): string {
  const all = [...required, ...wanted].map(({ name, value }) => ({ name, value: changes[name] ?? value }));
  const lines = all.map(({ name, value }) => (value === "n" ? `# ${name} is not set\n` : `${name}=${value}\n`));
  return `#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 ${version} Kernel Configuration\n#\n${lines.join("")}`;
}

function write(path: string, text: string): void {
  writeFileSync(join(folder, path), text);
}

const require = (path: string, demands: { modules?: boolean; anyConfig?: boolean } = {}): string =>
  requireKernel(path, DEFAULT_ARCHITECTURE, { hasModules: demands.modules === true, anyConfig: demands.anyConfig });

function refusal(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was refused");
}

describe("a folder", () => {
  it("stands for the image that make left there", () => {
    const built = image("arch/x86/boot/bzImage");
    expect(require(folder)).toBe(built);
  });

  it("of another architecture has that one's image", () => {
    mkdirSync(join(folder, "arch/arm64/boot"), { recursive: true });
    const built = join(folder, "arch/arm64/boot/Image");
    writeFileSync(built, Buffer.concat([Buffer.alloc(56), Buffer.from("ARMd"), Buffer.alloc(1000)]));
    expect(requireKernel(folder, parseArchitecture("arm64"), { hasModules: false })).toBe(built);
  });

  it("without an image has the command that builds it", () => {
    write("Makefile", "");
    expect(refusal(() => require(folder))).toMatchObject({
      code: "ERR_LAB_NO_IMAGE",
      subject: folder,
      message: expect.stringMatching(/there is no arch\/x86\/boot\/bzImage[^]*run `make bzImage` there/) as string,
    });
    const arm64 = parseArchitecture("arm64");
    expect(() => requireKernel(folder, arm64, { hasModules: false })).toThrow(
      /no arch\/arm64\/boot\/Image[^]*run `make ARCH=arm64 CROSS_COMPILE=\S+ Image`/,
    );
  });

  it("that no kernel is built in is refused", () => {
    expect(() => require(folder)).toThrow(/neither a kernel tree nor a build folder/);
  });
});

describe("a kernel whose configuration is known", () => {
  it("is taken if it has what the lab needs", () => {
    image("arch/x86/boot/bzImage");
    write(".config", configText({ CONFIG_KVM: "n" }));
    expect(require(folder)).toBe(join(folder, "arch/x86/boot/bzImage"));
  });

  it.each(["", "arch/x86/boot/bzImage", "link"])(
    "is refused with the lines that it lacks, by the name DIR/%s",
    (name) => {
      const path = join(folder, name);
      image("arch/x86/boot/bzImage");
      symlinkSync("arch/x86/boot/bzImage", join(folder, "link"));
      write(".config", configText({ CONFIG_VIRTIO_FS: "m", CONFIG_VFIO_DEVICE_CDEV: "n", CONFIG_KVM: "n" }));
      const error = refusal(() => require(path));
      expect(error).toMatchObject({ code: "ERR_LAB_KERNEL_CONFIG" });
      const { message } = error as Error;
      expect(message).toMatch(/\n\s*CONFIG_VIRTIO_FS=y\n\s*CONFIG_VFIO_DEVICE_CDEV=y\n/);
      expect(message).toContain(`${join(folder, ".config")}; modules now: CONFIG_VIRTIO_FS)`);
      expect(message).toContain(`--missing-from ${join(folder, ".config")}`);
      expect(message).toContain("--any-config");
      expect(message).not.toContain("CONFIG_KVM");
      expect(existsSync(require(path, { anyConfig: true }))).toBe(true);
    },
  );

  it.each(["config-6.12.3-1-amd64", "config", ".config"])("is refused by %s beside it, too", (name) => {
    const path = image("vmlinuz-6.12.3-1-amd64", "6.12.3-1-amd64");
    write(name, configText({ CONFIG_VFIO: "n" }));
    expect(() => require(path)).toThrow(/lacks options that the lab needs[^]*CONFIG_VFIO=y/);
  });

  it("does not lack modules that the guest gets, but those that it reads them through", () => {
    const path = image("bzImage");
    write("config", configText({ CONFIG_VFIO: "m", CONFIG_VFIO_PCI: "m", CONFIG_IOMMUFD: "m" }));
    expect(() => require(path)).toThrow(/Remedy: give the kernel's modules with --modules/);
    expect(require(path, { modules: true })).toBe(path);
    write("config", configText({ CONFIG_VFIO: "m", CONFIG_FUSE_FS: "m" }));
    const { message } = refusal(() => require(path, { modules: true })) as Error;
    expect(message).toContain("CONFIG_FUSE_FS=y");
    expect(message).not.toContain("CONFIG_VFIO=y");
  });

  it("does not lack what is younger than it", () => {
    const path = image("bzImage", "6.1.7");
    const young = required.filter((option) => !isOfVersion(option, "6.1"));
    expect(young.map(({ name }) => name)).toContain("CONFIG_IOMMUFD");
    const without = Object.fromEntries(young.map(({ name }) => [name, "n"]));
    write("config", configText(without, "6.1.7"));
    expect(require(path)).toBe(path);
    write("config", configText(without, "6.12.3"));
    image("bzImage", "6.12.3");
    expect(() => require(path)).toThrow(/CONFIG_IOMMUFD=y/);
  });
});

describe("what only looks like the configuration", () => {
  it.each([
    ["is of another version", () => write("config", configText({ CONFIG_VFIO: "n" }, "6.1.7"))],
    ["is another program's", () => write("config", "[core]\n")],
    ["is a fragment", () => write("config", fragmentText({ required: [], wanted: [] }))],
    ["is a folder", () => mkdirSync(join(folder, "config"))],
  ])("%s: the kernel is taken", (_, make) => {
    const path = image("bzImage");
    make();
    expect(require(path)).toBe(path);
  });
});

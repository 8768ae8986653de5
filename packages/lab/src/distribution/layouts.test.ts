import { readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { labCache } from "../cache/cache";
import { findProgram } from "../host/find-program";
import { silentProgress } from "../host/progress";
import { COMPLETE_QEMU, systemQemu } from "../machine/qemu";
import { DEBIAN_KEY_RING } from "../setup/debian/key-ring";
import { setupLab } from "../setup/setup";
import { addFakeQemu } from "../testing/fake-qemu";
import { KERNEL_IMAGE, makeTestHost, type TestHost } from "../testing/test-host";

/** A distribution's release, and what its packages put where. */
interface Layout {
  readonly name: string;
  readonly release: string;
  readonly manager: string;
  readonly qemu: string;
  readonly version: string;
  /** Behind the version. */
  readonly vendor: string;
  readonly virtiofsd: string;
  readonly virtiofsdVersion: string;
}

const LAYOUTS: readonly Layout[] = [
  {
    name: "Fedora 43",
    release: 'NAME="Fedora Linux"\nPRETTY_NAME="Fedora Linux 43 (Server Edition)"\nID=fedora\nVERSION_ID=43\n',
    manager: "/usr/bin/dnf",
    qemu: "/usr/bin/qemu-system-x86_64",
    version: "10.1.0",
    vendor: " (qemu-10.1.0-3.fc43)",
    virtiofsd: "/usr/libexec/virtiofsd",
    virtiofsdVersion: "1.13.2",
  },
  {
    name: "Arch",
    release: 'NAME="Arch Linux"\nPRETTY_NAME="Arch Linux"\nID=arch\n',
    manager: "/usr/bin/pacman",
    qemu: "/usr/bin/qemu-system-x86_64",
    version: "10.1.2",
    vendor: "",
    virtiofsd: "/usr/lib/virtiofsd",
    virtiofsdVersion: "1.13.2",
  },
  {
    name: "Ubuntu 25.10",
    release: 'PRETTY_NAME="Ubuntu 25.10"\nNAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n',
    manager: "/usr/bin/apt-get",
    qemu: "/usr/bin/qemu-system-x86_64",
    version: "10.1.0",
    vendor: " (Debian 1:10.1.0+ds-5ubuntu2)",
    virtiofsd: "/usr/libexec/virtiofsd",
    virtiofsdVersion: "1.13.2",
  },
  {
    name: "NixOS",
    release: 'ID=nixos\nNAME=NixOS\nPRETTY_NAME="NixOS 25.11 (Xantusia)"\n',
    manager: "/run/current-system/sw/bin/nix-shell",
    qemu: "/run/current-system/sw/bin/qemu-system-x86_64",
    version: "10.1.2",
    vendor: "",
    virtiofsd: "/run/current-system/sw/bin/virtiofsd",
    virtiofsdVersion: "1.13.2",
  },
];

const layout = (name: string): Layout => {
  const found = LAYOUTS.find((one) => one.name === name);
  if (found === undefined) throw new Error(name);
  return found;
};

/** What every system has. */
const BASE = ["sh", "bash", "cat", "grep", "dirname", "head", "tail", "mkdir", "touch", "flock"];

/** A host with these system paths alone: no program of the machine that runs the test is in its `PATH`. */
function makeHost({ release, manager }: Layout, uid = 1000): TestHost {
  const host = makeTestHost({ uid, path: "" });
  for (const name of BASE) {
    const program = findProgram({ ...host, env: process.env, root: "" }, name);
    if (program !== undefined) symlinkSync(program, join(host.folder, "bin", name));
  }
  host.env["PATH"] = `${join(host.folder, "bin")}:${host.root}/usr/bin`;
  host.addFile("/etc/os-release", release);
  host.addSystemProgram(manager, "#!/bin/sh\nexit 1\n");
  return host;
}

function addQemu(host: TestHost, { qemu, virtiofsd, ...versions }: Layout, changed: Partial<Layout> = {}): void {
  addFakeQemu(host, { guest: BOOTS, ...versions, ...changed, places: { qemu, virtiofsd } });
}

const BOOTS = `guest.send("ready 1"); guest.stdout("7.3.4\\n"); guest.endStreams(); guest.send("exit 0");`;

const failsWith = (code: string, message: string): unknown =>
  expect.objectContaining({ code, message: expect.stringContaining(message) as string });

describe.each(LAYOUTS)("$name", (system) => {
  test("has its QEMU and virtiofsd where its packages put them", async () => {
    using host = makeHost(system);
    addQemu(host, system);
    expect(await systemQemu(host, COMPLETE_QEMU)).toMatchObject({
      origin: "system",
      version: [10, 1],
      qemu: [join(host.root, system.qemu)],
      virtiofsd: [join(host.root, system.virtiofsd)],
    });
  });

  test("is a lab with that QEMU and a kernel image", async () => {
    using host = makeHost(system, 0);
    addQemu(host, system);
    const kernel = join(host.folder, "bzImage");
    writeFileSync(kernel, KERNEL_IMAGE);
    expect(await setupLab({ host, kernel })).toMatchObject({ changed: true, qemu: { origin: "system" } });
  });
});

test.each([
  ["Fedora 43", "sudo dnf install qemu-system-x86-core virtiofsd"],
  ["Arch", "sudo pacman -S --needed qemu-system-x86 virtiofsd"],
  ["NixOS", "nix-shell -p qemu virtiofsd"],
])("%s without QEMU is asked for its own packages", async (name, command) => {
  using host = makeHost(layout(name));
  const failure = failsWith("ERR_LAB_NO_QEMU", command);
  await expect(setupLab({ host })).rejects.toEqual(failure);
});

test.each([
  [
    "Fedora 43",
    "sudo dnf install binutils tar xz make flex bison bc perl elfutils-libelf-devel gcc curl /usr/bin/gpgv",
  ],
  ["Arch", "sudo pacman -S --needed binutils tar xz make flex bison bc perl libelf gcc curl gnupg"],
  [
    "Ubuntu 25.10",
    "sudo apt-get install --no-install-recommends binutils tar xz-utils make flex bison bc perl libelf-dev gcc ca-certificates",
  ],
  ["NixOS", "nix-shell -p binutils gnutar xz gnumake flex bison bc perl elfutils gcc curl gnupg"],
])("%s without a compiler is asked for what builds a kernel", async (name, command) => {
  using host = makeHost(layout(name));
  addQemu(host, layout(name));
  const failure = failsWith("ERR_LAB_TOOLS_MISSING", `Remedy: ${command}`);
  await expect(setupLab({ host })).rejects.toEqual(failure);
});

test("an older QEMU serves where no Debian root can replace it, which is told", async () => {
  const fedora = layout("Fedora 43");
  using host = makeHost(fedora, 0);
  addQemu(host, fedora, { version: "9.2.4", vendor: " (qemu-9.2.4-1.fc42)" });
  const kernel = join(host.folder, "bzImage");
  writeFileSync(kernel, KERNEL_IMAGE);
  const told: string[] = [];
  const progress = { ...silentProgress, done: (text: string) => void told.push(text) };
  expect(await setupLab({ host, kernel }, progress)).toMatchObject({ qemu: { origin: "system", version: [9, 2] } });
  expect(told).toContain("the system's 9.2, which lacks vfio-user-pci");
});

test("on Ubuntu a Debian root replaces an older QEMU, by Debian's mirror and the lab's keys", async () => {
  const ubuntu = layout("Ubuntu 25.10");
  using host = makeHost(ubuntu);
  addQemu(host, ubuntu, { version: "8.2.2", vendor: " (Debian 1:8.2.2+ds-0ubuntu1.10)", virtiofsdVersion: "1.10.0" });
  host.addFile(
    "/etc/apt/sources.list.d/ubuntu.sources",
    "Types: deb\nURIs: http://archive.ubuntu.com/ubuntu/\nSuites: noble noble-updates\nComponents: main universe\n" +
      "Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n",
  );
  host.addFile("/etc/ssl/certs/ca-certificates.crt", "");
  host.addSystemProgram("/usr/bin/mmdebstrap", "#!/bin/sh\nexit 1\n");
  const kernel = join(host.folder, "bzImage");
  writeFileSync(kernel, KERNEL_IMAGE);
  const failure = failsWith("ERR_LAB_NO_MIRROR", "(tried https://deb.debian.org/debian)");
  await expect(setupLab({ host, kernel })).rejects.toEqual(failure);
  const apt = join(labCache(host).work, "apt");
  const sources = readFileSync(join(apt, "sources.d/lab.sources"), "utf8");
  expect(sources).toContain(`URIs: https://deb.debian.org/debian\n`);
  expect(sources).toContain(`Signed-By: ${DEBIAN_KEY_RING}\n`);
  const settings = readFileSync(join(apt, "apt.conf"), "utf8");
  expect(settings).toContain(`Dir::Etc::sourcelist "/dev/null";`);
  expect(settings).toContain(`Dir::Etc::sourceparts "${apt}/sources.d/";`);
  expect(readdirSync(join(host.root, "etc/apt/sources.list.d"))).toEqual(["ubuntu.sources"]);
});

test("on Fedora the list of packages is checked by the lab's keys", async () => {
  const fedora = layout("Fedora 43");
  using host = makeHost(fedora);
  addQemu(host, fedora);
  host.addFile("/usr/include/gelf.h", "");
  for (const name of ["ar", "bc", "bison", "flex", "gcc", "ld", "make", "perl", "tar", "xz"]) {
    host.addSystemProgram(`/usr/bin/${name}`, "#!/bin/sh\nexit 1\n");
  }
  const asked = join(host.folder, "asked");
  host.addSystemProgram("/usr/bin/curl", `#!/bin/sh\necho "curl $@" >>'${asked}'\n`);
  host.addSystemProgram("/usr/bin/gpgv", `#!/bin/sh\necho "gpgv $@" >>'${asked}'\n`);
  await expect(setupLab({ host })).rejects.toEqual(failsWith("ERR_LAB_NO_MIRROR", "no good signature of Debian's"));
  const calls = readFileSync(asked, "utf8");
  expect(calls).toMatch(/^curl .* https:\/\/deb\.debian\.org\/debian\/dists\/trixie-backports\/InRelease$/m);
  expect(calls).toContain(` --keyring ${DEBIAN_KEY_RING} `);
});

test("a Debian root on a system without apt is refused with what serves there", async () => {
  using host = makeHost(layout("Arch"));
  const kernel = join(host.folder, "bzImage");
  writeFileSync(kernel, KERNEL_IMAGE);
  await expect(setupLab({ host, kernel, qemu: "root" })).rejects.toEqual(
    failsWith("ERR_LAB_TOOLS_MISSING", "Arch Linux does not use\n  Remedy: use the system's own QEMU: sudo pacman -S"),
  );
});

test("nix-shell names the folders of its headers", async () => {
  const nix = layout("NixOS");
  using host = makeHost(nix);
  addQemu(host, nix);
  host.addFile("/nix/store/x-elfutils-dev/include/gelf.h", "");
  host.env["NIX_CFLAGS_COMPILE"] = ` -frandom-seed=x -isystem ${host.root}/nix/store/x-elfutils-dev/include`;
  await expect(setupLab({ host })).rejects.toEqual(failsWith("ERR_LAB_TOOLS_MISSING", "bc perl gcc curl gnupg"));
});

test("a distribution is that of its family, or of its package manager", async () => {
  const like = 'ID="rocky"\nID_LIKE="rhel centos fedora"\n';
  using rocky = makeHost({ ...layout("Fedora 43"), release: like, manager: "/usr/bin/none" });
  await expect(setupLab({ host: rocky })).rejects.toEqual(failsWith("ERR_LAB_NO_QEMU", "dnf install"));
  using unnamed = makeHost({ ...layout("Arch"), release: "" });
  await expect(setupLab({ host: unnamed })).rejects.toEqual(failsWith("ERR_LAB_NO_QEMU", "pacman -S"));
  using unknown = makeHost({ ...layout("Arch"), release: "ID=own\n", manager: "/usr/bin/none" });
  await expect(setupLab({ host: unknown })).rejects.toEqual(
    failsWith("ERR_LAB_NO_QEMU", "install the equivalents of these Debian packages: qemu-system-x86 virtiofsd"),
  );
});

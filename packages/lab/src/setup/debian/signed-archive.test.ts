import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeTestHost, type TestHost } from "../../testing/test-host";
import { fetchKernelSource, newestKernelSource } from "../kernel/kernel-source";
import { DEFAULT_SUITES } from "./debian-mirror";
import { DEBIAN_KEY_RING } from "./key-ring";
import { parsePackages, SignedArchive } from "./signed-archive";

/**
 * As gpgv does, it tells of each signature, fails for one by an unknown key, and writes what is signed. Here that is
 * the file without its last line, which names the signers.
 */
const GPGV = `#!/bin/sh
echo "$4" >>"$(dirname "$0")/rings"
for signer in $(tail -n 1 "$7"); do
  case $signer in
    debian) echo "[GNUPG:] GOODSIG 78DBA3BC47EF2265 Debian" ;;
    future) echo "[GNUPG:] ERRSIG 0123456789ABCDEF"; status=2 ;;
    forged) echo "[GNUPG:] BADSIG 78DBA3BC47EF2265 Debian"; echo "gpgv: BAD signature" >&2; status=1 ;;
  esac
done
head -n -1 "$7" >"$6"
exit $status
`;

const sha256 = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");

class FakeMirror {
  readonly folder: string;
  readonly archive: SignedArchive;

  constructor(readonly host: TestHost) {
    host.addProgram("gpgv", GPGV);
    this.folder = join(host.folder, "mirror");
    const mirror = { uri: `file://${this.folder}/`, options: {} };
    this.archive = new SignedArchive(host, mirror, DEFAULT_SUITES, join(host.folder, "lists"), {});
  }

  add(path: string, data: string | Buffer): void {
    mkdirSync(dirname(join(this.folder, path)), { recursive: true });
    writeFileSync(join(this.folder, path), data);
  }

  /** A suite with these packages. */
  suite(name: string, packages: string, signers = "debian"): void {
    const list = execFileSync("sh", ["-c", "xz --stdout"], { input: packages });
    const digest = sha256(list);
    const lines = [
      `Codename: ${name}`,
      "Acquire-By-Hash: yes",
      "MD5Sum:",
      " 0 0 main/binary-amd64/Packages.xz",
      "SHA256:",
      ` 1 1 main/binary-arm64/Packages.xz`,
      ` ${digest} ${list.length} main/binary-amd64/Packages.xz`,
    ];
    this.add(`dists/${name}/InRelease`, `${lines.join("\n")}\n${signers}\n`);
    this.add(`dists/${name}/main/binary-amd64/by-hash/SHA256/${digest}`, list);
  }

  /** A kernel source as Debian packs it. */
  kernelSource(path: string): string {
    const work = join(this.host.folder, "pack");
    mkdirSync(join(work, "usr/src"), { recursive: true });
    mkdirSync(join(work, "linux-source-7.3"));
    writeFileSync(join(work, "linux-source-7.3/Makefile"), "VERSION = 7\n");
    const pack = `
      tar -cJf usr/src/linux-source-7.3.tar.xz linux-source-7.3
      tar -cJf data.tar.xz ./usr && echo 2.0 >debian-binary && tar -cJf control.tar.xz --files-from=/dev/null
      ar rc source.deb debian-binary control.tar.xz data.tar.xz`;
    execFileSync("sh", ["-ec", pack], { cwd: work });
    this.add(path, readFileSync(join(work, "source.deb")));
    return sha256(readFileSync(join(work, "source.deb")));
  }
}

const DEB = "pool/main/l/linux/linux-source-7.3_7.3.4-1_all.deb";
const stanza = (name: string, fields: string): string => `Package: ${name}\n${fields}\nSection: kernel\n`;
const META = stanza("linux-source", "Version: 7.3.4-1\nDepends: linux-source-7.3 (= 7.3.4-1)");
const source = (digest: string): string =>
  stanza("linux-source-7.3", `Version: 7.3.4-1\nFilename: ${DEB}\nSHA256: ${digest}`);

const refusedWith = (message: RegExp): unknown =>
  expect.objectContaining({ code: "ERR_LAB_NO_MIRROR", message: expect.stringMatching(message) as string });

test("a kernel source is fetched and unpacked without apt and dpkg, checked by the lab's key ring", async () => {
  using host = makeTestHost();
  for (const name of ["apt-get", "dpkg-deb"]) host.addProgram(name, "#!/bin/sh\nexit 1\n");
  const mirror = new FakeMirror(host);
  mirror.suite("trixie-backports", `${META}\n${source(mirror.kernelSource(DEB))}`);
  const newest = await newestKernelSource(mirror.archive);
  expect(newest).toEqual({ package: "linux-source-7.3", version: "7.3.4-1" });
  const work = join(host.folder, "work");
  const { folder } = await fetchKernelSource(host, mirror.archive, newest, work, {});
  expect(readFileSync(join(folder, "Makefile"), "utf8")).toBe("VERSION = 7\n");
  expect(readdirSync(work)).toEqual(["linux-source-7.3_7.3.4-1"]);
  expect(readFileSync(join(host.folder, "bin/rings"), "utf8")).toBe(`${DEBIAN_KEY_RING}\n`);
});

test("what backports lacks comes from stable", async () => {
  using host = makeTestHost();
  const mirror = new FakeMirror(host);
  mirror.suite("trixie-backports", stanza("linux-source-tools", "Version: 1"));
  mirror.suite("trixie", META);
  expect(await mirror.archive.newest("linux-source")).toMatchObject({ version: "7.3.4-1" });
  expect(await mirror.archive.newest("linux")).toBeUndefined();
});

test("a signature by a key that is newer than the ring does no harm beside a good one", async () => {
  using host = makeTestHost();
  const mirror = new FakeMirror(host);
  mirror.suite("trixie-backports", META, "debian future");
  expect(await mirror.archive.newest("linux-source")).toMatchObject({ depends: ["linux-source-7.3"] });
});

test.each([
  ["an unknown key's", "future"],
  ["a forged", "forged"],
  ["a forged one beside a good", "debian forged"],
  ["no", "nobody"],
])("a list with %s signature is refused", async (_what, signers) => {
  using host = makeTestHost();
  const mirror = new FakeMirror(host);
  mirror.suite("trixie-backports", META, signers);
  await expect(mirror.archive.newest("linux-source")).rejects.toEqual(
    refusedWith(/InRelease of trixie-backports has no good signature[^]*VFIO_SELFTESTS_DEBIAN_MIRROR=/),
  );
});

test("a package that is not the signed one is refused, and the next try starts anew", async () => {
  using host = makeTestHost();
  const mirror = new FakeMirror(host);
  mirror.suite("trixie-backports", source(mirror.kernelSource(DEB)));
  const good = readFileSync(join(mirror.folder, DEB));
  mirror.add(DEB, Buffer.concat([good, Buffer.from("x")]));
  const download = (): Promise<string> => mirror.archive.download("linux-source-7.3", "7.3.4-1", host.folder);
  await expect(download()).rejects.toEqual(refusedWith(/does not have the digest that Debian has signed/));
  mirror.add(DEB, good);
  expect(readFileSync(await download())).toEqual(good);
});

test("an interrupted download goes on", async () => {
  using host = makeTestHost();
  const mirror = new FakeMirror(host);
  const digest = mirror.kernelSource(DEB);
  mirror.suite("trixie-backports", source(digest));
  const good = readFileSync(join(mirror.folder, DEB));
  writeFileSync(
    join(host.folder, `linux-source-7.3_7.3.4-1_all.deb.${digest.slice(0, 12)}.part`),
    good.subarray(0, 40),
  );
  // The start, which is there already, is not read again.
  mirror.add(DEB, Buffer.concat([Buffer.alloc(40), good.subarray(40)]));
  expect(readFileSync(await mirror.archive.download("linux-source-7.3", "7.3.4-1", host.folder))).toEqual(good);
});

test("a mirror that cannot be reached is named with what curl said", async () => {
  using host = makeTestHost();
  const mirror = new FakeMirror(host);
  await expect(mirror.archive.newest("linux-source")).rejects.toEqual(
    refusedWith(/mirror\/dists\/trixie-backports\/InRelease cannot be fetched[^]*curl/),
  );
  expect(existsSync(join(host.folder, "bin/rings"))).toBe(false);
});

test("of several versions in a list the newest comes first", () => {
  const list = ["7.3.4-1", "7.3.12-1", "7.3.5-1"].map((version) => stanza("a", `Version: ${version}`)).join("\n");
  expect(parsePackages(`${stanza("aa", "Version: 9")}\n${list}`, "a").map(({ version }) => version)).toEqual([
    "7.3.12-1",
    "7.3.5-1",
    "7.3.4-1",
  ]);
});

import { parseDeb822Sources, parseOneLineSources } from "./apt-sources";
import { backportsPreferences, debianMirrors, DEFAULT_SUITES, mirrorSources, requireMirrors } from "./debian-mirror";
import { makeTestHost } from "./testing/test-host";

function mirrorsOf(...lines: string[]): string[] {
  return debianMirrors(parseOneLineSources(lines.join("\n"))).map(({ uri }) => uri);
}

test("a mirror of any Debian release is one", () => {
  expect(mirrorsOf("deb http://a/debian bookworm main", "deb http://b/debian forky-updates main")).toEqual([
    "http://a/debian",
    "http://b/debian",
  ]);
});

test.each([
  ["the security archive", "deb http://a/debian-security bookworm-security main"],
  ["another vendor's component", "deb https://vendor.example/linux/debian bookworm stable"],
  ["another vendor's suite", "deb https://vendor.example/apt tools-bookworm main"],
  ["Ubuntu", "deb http://mirror.example/ubuntu noble main universe"],
  ["a source for another architecture", "deb [arch=arm64] http://a/debian bookworm main"],
  ["a disc", "deb cdrom:[Debian]/ bookworm main"],
])("%s is not a mirror", (_what, line) => {
  expect(mirrorsOf(line)).toEqual([]);
});

test("an address that ends with /debian comes before others, and none comes twice", () => {
  expect(
    mirrorsOf(
      "deb https://vendor/debian/12/prod bookworm main",
      "deb http://a/debian bookworm main",
      "deb http://a/debian bookworm-updates main",
    ),
  ).toEqual(["http://a/debian", "https://vendor/debian/12/prod"]);
});

test("what the lab's apt is told has the suites and the key of the system's configuration", () => {
  const [mirror] = debianMirrors(
    parseOneLineSources("deb [arch=amd64 signed-by=/k.gpg] http://a/debian bookworm main"),
  );
  if (mirror === undefined) throw new Error("no mirror");
  expect(parseDeb822Sources(mirrorSources(mirror, DEFAULT_SUITES))).toEqual([
    {
      uris: ["http://a/debian"],
      suites: ["trixie", "trixie-backports"],
      components: ["main"],
      options: { Architectures: "amd64", "Signed-By": "/k.gpg" },
    },
  ]);
});

test("an inlined key is handed on as it is", () => {
  const key = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc=\n -----END PGP PUBLIC KEY BLOCK-----";
  const sources = parseDeb822Sources(`Types: deb\nURIs: http://a/debian\nSuites: sid\nComponents: main\n${key}\n`);
  const [mirror] = debianMirrors(sources);
  if (mirror === undefined) throw new Error("no mirror");
  const again = parseDeb822Sources(mirrorSources(mirror, DEFAULT_SUITES));
  expect(again[0]?.options["Signed-By"]).toBe(sources[0]?.options["Signed-By"]);
});

test("backports win for QEMU and the kernel source", () => {
  expect(backportsPreferences(DEFAULT_SUITES)).toMatch(
    /^Package: .*qemu\*.*linux-source\*.*\nPin: release n=trixie-backports$/m,
  );
});

test("no mirror is an error that says what to add, or how to do without", () => {
  using host = makeTestHost();
  host.addFile("/etc/apt/sources.list", "deb http://mirror.example/ubuntu noble main\n");
  expect(() => requireMirrors(host, "QEMU")).toThrow(
    expect.objectContaining({
      code: "ERR_LAB_NO_MIRROR",
      message: expect.stringMatching(/sources\.list\.d[^]*--kernel/) as string,
    }) as Error,
  );
});

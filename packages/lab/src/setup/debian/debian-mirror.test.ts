import { makeTestHost } from "../../testing/test-host";
import { parseDeb822Sources, parseOneLineSources } from "./apt-sources";
import { backportsPreferences, debianMirrors, DEFAULT_SUITES, mirrorSources, requireMirrors } from "./debian-mirror";

/** An address as mirrors of the Debian archive have it. */
const archive = (host: string, scheme = "http"): string => `${scheme}://${host}/debian`;
const A = archive("a");
const B = archive("b");
const VENDOR = archive("vendor", "https");

function mirrorsOf(...lines: string[]): string[] {
  return debianMirrors(parseOneLineSources(lines.join("\n"))).map(({ uri }) => uri);
}

test("a mirror of any Debian release is one", () => {
  expect(mirrorsOf(`deb ${A} bookworm main`, `deb ${B} forky-updates main`)).toEqual([A, B]);
});

test.each([
  ["the security archive", `deb ${A}-security bookworm-security main`],
  ["another vendor's component", `deb ${VENDOR} bookworm stable`],
  ["another vendor's suite", `deb ${VENDOR} tools-bookworm main`],
  ["Ubuntu", `deb ${A} noble main universe`],
  ["a source for another architecture", `deb [arch=arm64] ${A} bookworm main`],
  ["a disc", "deb cdrom:[Debian]/ bookworm main"],
])("%s is not a mirror", (_what, line) => {
  expect(mirrorsOf(line)).toEqual([]);
});

test("an address that ends with /debian comes before others, and none comes twice", () => {
  expect(
    mirrorsOf(`deb ${VENDOR}/12/prod bookworm main`, `deb ${A} bookworm main`, `deb ${A} bookworm-updates main`),
  ).toEqual([A, `${VENDOR}/12/prod`]);
});

test("what the lab's apt is told has the suites and the key of the system's configuration", () => {
  const [mirror] = debianMirrors(parseOneLineSources(`deb [arch=amd64 signed-by=/k.gpg] ${A} bookworm main`));
  if (mirror === undefined) throw new Error("no mirror");
  expect(parseDeb822Sources(mirrorSources(mirror, DEFAULT_SUITES))).toEqual([
    {
      uris: [A],
      suites: ["trixie", "trixie-backports"],
      components: ["main"],
      options: { Architectures: "amd64", "Signed-By": "/k.gpg" },
    },
  ]);
});

test("an inlined key is handed on as it is", () => {
  const key = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc=\n -----END PGP PUBLIC KEY BLOCK-----";
  const sources = parseDeb822Sources(`Types: deb\nURIs: ${A}\nSuites: sid\nComponents: main\n${key}\n`);
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
  host.addFile("/etc/apt/sources.list", `deb ${A} noble main\n`);
  expect(() => requireMirrors(host, "QEMU")).toThrow(
    expect.objectContaining({
      code: "ERR_LAB_NO_MIRROR",
      message: expect.stringMatching(/sources\.list\.d[^]*--kernel/) as string,
    }) as Error,
  );
});

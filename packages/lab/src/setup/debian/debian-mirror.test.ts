import { statSync } from "node:fs";
import { makeTestHost } from "../../testing/test-host";
import { parseDeb822Sources, parseOneLineSources } from "./apt-sources";
import { backportsPreferences, chosenMirrors, debianMirrors, DEFAULT_SUITES, mirrorSources } from "./debian-mirror";
import { DEBIAN_KEY_RING } from "./key-ring";

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

describe("the mirrors that the set-up tries", () => {
  const ours = { "Signed-By": DEBIAN_KEY_RING };
  const UBUNTU = `deb ${archive("ubuntu")} noble main\n`;

  test("are those of the system's configuration, with its keys", () => {
    using host = makeTestHost();
    host.addFile("/etc/apt/sources.list", `${UBUNTU}deb [signed-by=/k.gpg] ${A} bookworm main\n`);
    expect(chosenMirrors(host)).toEqual([{ uri: A, options: { "Signed-By": "/k.gpg" } }]);
  });

  test("are Debian's public one, with the lab's own keys, where the configuration names none", () => {
    using host = makeTestHost();
    host.addFile("/etc/apt/sources.list", UBUNTU);
    expect(chosenMirrors(host)).toEqual([{ uri: "https://deb.debian.org/debian", options: ours }]);
    expect(statSync(DEBIAN_KEY_RING).size).toBeGreaterThan(10_000);
  });

  test("are the one that the user names, with the lab's own keys", () => {
    using host = makeTestHost();
    host.addFile("/etc/apt/sources.list", `deb ${A} bookworm main\n`);
    host.env["VFIO_SELFTESTS_DEBIAN_MIRROR"] = B;
    expect(chosenMirrors(host)).toEqual([{ uri: B, options: ours }]);
    host.env["VFIO_SELFTESTS_DEBIAN_MIRROR"] = "somewhere";
    expect(() => chosenMirrors(host)).toThrow(/VFIO_SELFTESTS_DEBIAN_MIRROR[^]*https:\/\/deb\.debian\.org/);
  });
});

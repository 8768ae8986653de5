import fc from "fast-check";
import { makeTestHost } from "../../testing/test-host";
import { parseDeb822Sources, parseOneLineSources, readAptSources } from "./apt-sources";

describe("one-line sources", () => {
  test("a line gives address, suite and components", () => {
    expect(parseOneLineSources("deb http://mirror.example/archive bookworm main contrib\n")).toEqual([
      { uris: ["http://mirror.example/archive"], suites: ["bookworm"], components: ["main", "contrib"], options: {} },
    ]);
  });

  test("options get their deb822 names", () => {
    const [source] = parseOneLineSources(
      "deb [ arch=amd64,i386 signed-by=/usr/share/keyrings/a.gpg trusted=yes check-valid-until=no ] http://m/archive trixie main",
    );
    expect(source?.options).toEqual({
      Architectures: "amd64 i386",
      "Signed-By": "/usr/share/keyrings/a.gpg",
      Trusted: "yes",
      "Check-Valid-Until": "no",
    });
  });

  test("comments, source packages and nonsense give nothing", () => {
    const text = ["# deb http://a/archive sid main", "deb-src http://a/archive sid main", "deb", "rubbish", ""].join(
      "\n",
    );
    expect(parseOneLineSources(text)).toEqual([]);
  });

  test("a comment behind a line is cut off", () => {
    expect(parseOneLineSources("deb http://a/archive sid main # not contrib")[0]?.components).toEqual(["main"]);
  });
});

describe("deb822 sources", () => {
  test("several addresses and suites stay together", () => {
    const text =
      "Types: deb deb-src\nURIs: http://a/archive http://b/archive\nSuites: sid sid-updates\nComponents: main\n";
    expect(parseDeb822Sources(text)).toEqual([
      {
        uris: ["http://a/archive", "http://b/archive"],
        suites: ["sid", "sid-updates"],
        components: ["main"],
        options: {},
      },
    ]);
  });

  test("comments inside a stanza do not split it", () => {
    const text = "Types: deb\n# snapshot\nURIs: http://a/archive\nSuites: sid\nComponents: main\nSigned-By: /k.gpg\n";
    expect(parseDeb822Sources(text)[0]?.options).toEqual({ "Signed-By": "/k.gpg" });
  });

  test("field names are case-insensitive", () => {
    expect(parseDeb822Sources("types: deb\nuris: http://a\nSUITES: sid\ncomponents: main")).toHaveLength(1);
  });

  test.each(["no", "false", "0"])("a stanza with Enabled: %s gives nothing", (value) => {
    expect(parseDeb822Sources(`Types: deb\nURIs: http://a\nSuites: sid\nEnabled: ${value}\n`)).toEqual([]);
  });

  test("an inlined key keeps its lines", () => {
    const key = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc=\n -----END PGP PUBLIC KEY BLOCK-----";
    const [source] = parseDeb822Sources(`Types: deb\nURIs: http://a\nSuites: sid\nComponents: main\n${key}\n`);
    expect(`Signed-By: ${source?.options["Signed-By"] ?? ""}`.replace("By: \n", "By:\n")).toBe(key);
  });
});

const word = fc.stringMatching(/^[a-z][a-z0-9.-]{0,12}$/);
const sources = fc.array(
  fc.record({
    uri: word.map((host) => `http://${host}/archive`),
    suite: word,
    components: fc.array(word, { minLength: 1, maxLength: 3 }),
    signedBy: fc.option(
      word.map((name) => `/usr/share/keyrings/${name}.gpg`),
      { nil: undefined },
    ),
  }),
  { maxLength: 5 },
);

test("both formats of the same sources are read the same", () => {
  fc.assert(
    fc.property(sources, (list) => {
      const oneLine = list
        .map(
          ({ uri, suite, components, signedBy }) =>
            `deb ${signedBy === undefined ? "" : `[signed-by=${signedBy}] `}${uri} ${suite} ${components.join(" ")}`,
        )
        .join("\n");
      const deb822 = list
        .map(
          ({ uri, suite, components, signedBy }) =>
            `Types: deb\nURIs: ${uri}\nSuites: ${suite}\nComponents: ${components.join(" ")}\n` +
            (signedBy === undefined ? "" : `Signed-By: ${signedBy}\n`),
        )
        .join("\n");
      expect(parseDeb822Sources(deb822)).toEqual(parseOneLineSources(oneLine));
    }),
  );
});

test("no text makes the parsers fail", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      parseOneLineSources(text);
      parseDeb822Sources(text);
    }),
  );
});

test("the system's sources are those of sources.list and of both kinds of files beside it", () => {
  using host = makeTestHost();
  host.addFile("/etc/apt/sources.list", "deb http://one/archive sid main\n");
  host.addFile("/etc/apt/sources.list.d/two.list", "deb http://two/archive sid main\n");
  host.addFile("/etc/apt/sources.list.d/three.sources", "Types: deb\nURIs: http://three/archive\nSuites: sid\n");
  host.addFile("/etc/apt/sources.list.d/four.list.disabled", "deb http://four/archive sid main\n");
  expect(readAptSources(host).map(({ uris }) => uris[0])).toEqual([
    "http://one/archive",
    "http://two/archive",
    "http://three/archive",
  ]);
});

test("a system without apt has no sources", () => {
  using host = makeTestHost();
  expect(readAptSources(host)).toEqual([]);
});

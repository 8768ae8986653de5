import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { LabArchitecture } from "../../architecture/lab-architecture";
import { readJson, writeJson } from "../../cache/cache";
import { execute } from "../../host/execute";
import type { LabHost } from "../../host/host";
import { GUEST_MODULES, GUEST_NODE, GUEST_RUN_FOLDER } from "../../machine/guest-programs";
import { projectFolder } from "../../machine/shares";
import type { AptWorkspace } from "../debian/apt-workspace";
import { type DebianSuites, mirrorSources } from "../debian/debian-mirror";
import { type ExtractOptions, extractPackages } from "../debian/extract-packages";
import { cpuPackages, type NpmPackage } from "./cpu-packages";

/** The userland: a shell, what init uses, what tests start, and Node's C++ library. */
const PACKAGES = [
  "base-files",
  ...["bash", "dash", "coreutils", "findutils", "grep", "sed"],
  ...["util-linux", "mount", "procps", "kmod", "iproute2", "pciutils"],
  ...["libstdc++6", "libgcc-s1", "libatomic1"],
];

/** Bytes of disk space to make the tree. It keeps some 350 MB of them. */
export const GUEST_ROOT_BYTES = 1024 * 1024 * 1024;

/** What the tree of a guest is made of. Another wish makes another tree. */
export interface GuestRootRecipe {
  readonly packages: readonly string[];
  readonly npm: readonly NpmPackage[];
}

/** The recipe for a guest that runs this program and its jest, with this Node. */
export function guestRootRecipe(architecture: LabArchitecture, host: LabHost): GuestRootRecipe {
  const node = { name: `node-linux-${architecture.node}`, version: process.versions.node };
  const project = projectFolder(__dirname);
  const modules = project === undefined ? [] : cpuPackages(project, host.architecture, architecture);
  return { packages: PACKAGES, npm: [node, ...modules] };
}

/** Whether the tree is there and is made of this. */
export function isGuestRoot(root: string, recipe: GuestRootRecipe): boolean {
  return isDeepStrictEqual(readJson(join(root, RECIPE)), recipe);
}

const RECIPE = "etc/vfio-lab.json";

/**
 * Makes the tree of a guest whose CPU does not run the host's programs: Debian's packages, Node from npm's registry, and the
 * packages of `cpuPackages`. It only unpacks, and runs nothing of them. The tree appears under its name when it is complete.
 */
export async function makeGuestRoot(
  host: LabHost,
  root: string,
  recipe: GuestRootRecipe,
  architecture: LabArchitecture,
  apt: AptWorkspace,
  suites: DebianSuites,
  options: ExtractOptions,
): Promise<void> {
  const unfinished = `${root}.tmp`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(dirname(root), { recursive: true });
  const sources = join(apt.folder, `guest-${architecture.name}.sources`);
  writeFileSync(sources, mirrorSources(apt.mirror, suites, architecture.debian));
  try {
    await extractPackages(host, unfinished, recipe.packages, architecture.debian, { ...apt, sources, suites }, options);
    const [node, ...modules] = recipe.npm;
    if (node !== undefined)
      await unpackNpm(host, node, join(unfinished, dirname(dirname(GUEST_NODE))), ["package/bin/node"], options);
    for (const module of modules) {
      await unpackNpm(host, module, join(unfinished, GUEST_MODULES, module.name), [], options);
    }
    mkdirSync(join(unfinished, GUEST_RUN_FOLDER));
    for (const [file, text] of Object.entries(ACCOUNTS)) writeFileSync(join(unfinished, file), text);
    writeJson(join(unfinished, RECIPE), recipe);
    rmSync(root, { recursive: true, force: true });
    renameSync(unfinished, root);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

/** What Debian's scripts, which did not run, would have written. */
const ACCOUNTS: Readonly<Record<string, string>> = {
  "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
  "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
};

/** Fetches a package with npm, which checks it, and unpacks the members of its archive, or all. */
async function unpackNpm(
  host: LabHost,
  { name, version }: NpmPackage,
  folder: string,
  members: readonly string[],
  options: ExtractOptions,
): Promise<void> {
  const archives = `${folder}.npm`;
  mkdirSync(archives, { recursive: true });
  mkdirSync(folder, { recursive: true });
  try {
    const remedy = "check the network and npm's settings (`npm ping`), and run `lab setup` again";
    const command = ["npm", "pack", "--silent", `--pack-destination=${archives}`, `${name}@${version}`];
    const archive =
      (await execute(host, command, { ...options, cwd: archives, remedy })).trim().split("\n").at(-1) ?? "";
    const unpack = ["tar", "-xzf", join(archives, archive), "-C", folder, "--strip-components=1", ...members];
    await execute(host, unpack, options);
  } finally {
    if (existsSync(archives)) rmSync(archives, { recursive: true });
  }
}

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const INIT = readFileSync(join(__dirname, "../../guest/init.sh"), "utf8");
/** Folders that are the host's until the guest has mounted its own. */
const FOLDERS = ["proc", "sys", "dev", "tmp", "run", "lib"];

const NOBODY = 65534;
/** What init uses beside the programs that are played here. */
const PROGRAMS = ["mkdir", "cp", "ln", "grep", "cat", "cut", "readlink", "sync"];

function programPath(name: string): string {
  return spawnSync("/bin/sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).stdout.trim();
}

interface Guest {
  /** Types that the kernel cannot mount. */
  readonly lacks?: readonly string[];
  /** Lines of /proc/filesystems. */
  readonly knows?: readonly string[];
  /** Mounts of the kernel's own: `devtmpfs`. */
  readonly mounted?: readonly string[];
  /** Where the host keeps modules. */
  readonly modules?: string;
  /** Files that are there before init, with their contents. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Runs init in a folder that stands for the guest's root, with a `mount` that only notes what it is asked. */
function runInit({ lacks = [], knows = [], mounted = [], modules = "", files = {} }: Guest) {
  const root = mkdtempSync(join(tmpdir(), "lab-init-"));
  try {
    for (const folder of [...FOLDERS, "bin", "lab-run"]) mkdirSync(join(root, folder));
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), content);
    }
    const mounts = join(root, "bin/mounts");
    writeFileSync(mounts, mounted.map((type) => `${type} ${root}/dev ${type} rw 0 0\n`).join(""));
    const filesystems = join(root, "bin/filesystems");
    writeFileSync(filesystems, knows.map((type) => `nodev\t${type}\n`).join(""));
    const addProgram = (name: string, body: string): void => {
      writeFileSync(join(root, "bin", name), `#!/bin/sh\n${body}\n`);
      chmodSync(join(root, "bin", name), 0o755);
    };
    const refusals = ["none", ...lacks].join("|");
    addProgram(
      "mount",
      `[ "$1" = -n ] && shift\nfor folder; do :; done\ncase $2 in ${refusals}) exit 32 ;; esac\necho "$2 $folder $2 rw 0 0" >>'${mounts}'`,
    );
    // Of a /proc that is not there: the file system of the host's, seen through virtiofs.
    addProgram("stat", `echo ${lacks.includes("proc") ? "65735546" : "9fa0"}`);
    for (const name of ["sleep", "ip", "umount"]) addProgram(name, "");
    const loaded = join(root, "bin/loaded");
    writeFileSync(loaded, "");
    addProgram("modprobe", `echo "$*" >>'${loaded}'`);
    addProgram("uname", "echo 7.3.4");
    for (const name of ["plan.sh", "command.sh"])
      writeFileSync(join(root, "lab-run", name), `LAB_MODULES=${modules}\nmount_shares() { :; }\n`);
    for (const name of PROGRAMS) symlinkSync(programPath(name), join(root, "bin", name));
    const script = INIT.replaceAll("/proc/mounts", "MOUNTS")
      .replaceAll("/proc/filesystems", "FILESYSTEMS")
      .replaceAll(new RegExp(`(?<![\\w.}])/(${FOLDERS.join("|")})\\b`, "g"), `${root}/$1`)
      .replaceAll("MOUNTS", mounts)
      .replaceAll("FILESYSTEMS", filesystems)
      .replace(/^export PATH=.*$/m, "");
    // Nobody, with no program but these: whatever is wrong with the script, it cannot mount or write anything here.
    const nobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    if (process.getuid?.() === 0) spawnSync("chown", ["-h", "-R", `${NOBODY}:${NOBODY}`, root]);
    const { status, stderr } = spawnSync("/bin/sh", ["-c", script], {
      encoding: "utf8",
      env: { PATH: join(root, "bin"), LAB_RUN: join(root, "lab-run") },
      ...nobody,
    });
    const written = FOLDERS.flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`));
    const types = readFileSync(mounts, "utf8")
      .trim()
      .split("\n")
      .map((line) => line.split(" ")[0]);
    const asked = readFileSync(loaded, "utf8").trim().split("\n");
    return { status, asked, says: /^lab: (.*)$/m.exec(stderr)?.[1]?.replaceAll(root, ""), written, types };
  } finally {
    rmSync(root, { recursive: true });
  }
}

test("with file systems of its own everywhere the guest goes on, to the host's ports", () => {
  const { says, types } = runInit({});
  expect(says).toBe("the guest has no port to the host");
  expect(types.slice(0, 3)).toEqual(["proc", "sysfs", "devtmpfs"]);
});

test.each([
  ["proc", "/proc"],
  ["sysfs", "/sys"],
  ["devtmpfs", "/dev"],
])("a guest that cannot mount %s says so and ends, before it writes anything", (type, folder) => {
  expect(runInit({ lacks: [type] })).toMatchObject({
    status: 1,
    says: `the guest has no ${type} at ${folder}: its kernel cannot mount it`,
    written: [],
  });
});

test("what the kernel has mounted itself is not mounted again", () => {
  expect(runInit({ mounted: ["devtmpfs"] }).types.filter((type) => type === "devtmpfs")).toHaveLength(1);
});

test("a guest that cannot lay an overlay over the host's tree goes on with the tree as it is, read-only", () => {
  const { says, types } = runInit({ knows: ["overlay"], lacks: ["overlay"] });
  expect(says).toBe("the guest has no port to the host");
  expect(types).not.toContain("overlay");
});

test("a guest without tmpfs ends before its command could write to the host's folders", () => {
  expect(runInit({ lacks: ["tmpfs"] })).toMatchObject({
    status: 1,
    says: expect.stringContaining("no tmpfs at /dev/shm") as string,
  });
});

const DEVICE = "sys/bus/pci/devices/0000:01:00.0/modalias";
const WITH_MODULES = {
  "proc/sys/kernel/modprobe": "/sbin/modprobe\n",
  "proc/cpuinfo": "flags\t\t: fpu svm nx\n",
  "lib/modules/7.3.4/modules.dep": "",
  [DEVICE]: "pci:v00008086d000010C9\n",
};

test("a guest with modules has them at its own place, and loads what the lab and each device need", () => {
  const { says, asked, types } = runInit({ modules: "/srv/tree", files: WITH_MODULES });
  expect(says).toBe("the guest has no port to the host");
  expect(types).toContain("/srv/tree");
  expect(asked).toEqual(
    ["virtio_console", "vfio_pci", "vfio_iommu_type1", "iommufd", "kvm_amd", "pci:v00008086d000010C9"].map(
      (name) => `-q ${name}`,
    ),
  );
});

test("a guest without modules loads nothing", () => {
  expect(runInit({ files: WITH_MODULES }).asked).toEqual([""]);
});

test.each<[string, Readonly<Record<string, string>>, string]>([
  ["loads no modules", { [DEVICE]: "x\n" }, "the guest's kernel loads no modules: it lacks CONFIG_MODULES"],
  [
    "is another",
    { "proc/sys/kernel/modprobe": "x", "lib/modules/7.4.0/modules.dep": "" },
    "the guest's kernel is 7.3.4, and /srv/tree has no modules of it",
  ],
])("a guest whose kernel %s says so", (_, files, says) => {
  expect(runInit({ modules: "/srv/tree", files })).toMatchObject({ status: 1, says, asked: [""] });
});

import { asCalled } from "@vfio-selftests/core/errors";
import { runCommandLine } from "./command-line";
import { COMMAND_GROUPS, COMMANDS } from "./commands";

/** Runs the program in this process and gives its exit code and what it wrote. */
async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const stdout = jest.spyOn(process.stdout, "write").mockImplementation((text) => ((out += String(text)), true));
  const stderr = jest.spyOn(process.stderr, "write").mockImplementation((text) => ((err += String(text)), true));
  const log = jest.spyOn(console, "log").mockImplementation((text) => (out += `${String(text)}\n`));
  try {
    return { code: await runCommandLine(args), out, err };
  } finally {
    for (const spy of [stdout, stderr, log]) spy.mockRestore();
  }
}

describe("wrong usage ends with 2 and says what is allowed", () => {
  it.each([
    [["nonsense"], "unknown command"],
    [["run", "--nonsense"], "unknown option"],
    [["run", "--reporter", "xml"], "Allowed choices are default, tap, ktap, json, junit"],
    [["run", "-d", "not-an-address"], "DDDD:BB:DD.F"],
    [["run", "-d", "8086:10cx"], "VENDOR:DEVICE"],
    [["run", "-d", "0000:01:00.0", "-d", "model:ioat"], "PCI addresses only, or models and sockets only"],
    [["run", "-t", "("], "regular expression"],
    [["run", "--mode", "iommufd"], "needs a device of the kernel"],
    [
      ["run", "-r", "vfio_pci_device_test.reset", "-r", "no_such.test"],
      'no test has the id "no_such.test"\n  Remedy: give an id that --list shows',
    ],
    [["bind"], "missing required argument"],
    [["completion"], "missing required argument 'bash|zsh|fish'"],
    [["conformance"], "server is missing; allowed: one of --server SOCKET and --client"],
    [["run", "--bind"], "device is missing; allowed: with --bind, devices of the kernel"],
    [["info"], "missing required argument"],
    [["info", "model:ioat"], "DDDD:BB:DD.F"],
    [["doctor", "--memory", "0"], "whole number"],
    [["lab", "run", "--cpus", "none"], "whole number"],
    [["lab", "setup", "--qemu", "mine"], "auto, system, root"],
    [
      ["model", "serve", "nvme", "--socket", "/tmp/x"],
      "nv-falcon-hopper, capabilities, capabilities-pcix1, capabilities-pcix2, the path of a module, or a package installed",
    ],
    [
      ["model", "serve", "./nowhere.js", "--socket", "/tmp/x"],
      "nv-falcon-hopper, capabilities, capabilities-pcix1, capabilities-pcix2, the path of a module",
    ],
    [["model", "serve", "ioat"], "socket is missing; allowed: one of --socket, --socket-path and --fd"],
    [["model", "serve", "ioat", "--socket", "/tmp/x", "--fd", "3"], '/tmp/x and 3"; allowed: one of'],
    [["model", "serve", "ioat", "--fd", "three"], "A whole number from 0"],
    [["model", "serve", "ioat", "--fd", "99999"], "a Unix stream socket, listening or connected"],
  ])("%j", async (args, expected) => {
    const { code, err } = await run(...args);
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(expected) as string });
    expect(err).not.toMatch(/\n\s+at /);
  });
});

describe("the lab checks what it is asked for before it prepares or boots anything", () => {
  // There is no lab: a command that went on after the check would fail with another message.
  const environment = process.env;
  beforeAll(() => {
    // A folder that nobody can make, not even root.
    process.env = { ...environment, XDG_CACHE_HOME: "/dev/null/cache", PATH: "/dev/null" };
  });
  afterAll(() => {
    process.env = environment;
  });

  it.each([
    [["-d", "ibg"], "igb, igb-hotplug, "],
    [["-d", "model:none"], "none"],
    [["-d", "vfio-user:/nowhere/socket"], "a Unix socket that a server listens on"],
    [["--iommu", "foo"], "intel, intel-scalable, amd, virtio, none"],
    [["--memory", "1"], "512 to 1048576"],
    [["--cpus", "65"], "1 to 64"],
    [["--timeout", "0"], "1 to 604800"],
    [["--boot-timeout", "1.5"], "1 to 86400"],
    [["--append", "quiet -- sh"], "without a -- of their own"],
    [["--rw", "/nowhere"], "a folder that exists"],
    [["--rw", "/"], "a folder below /"],
    [["-t", "("], "regular expression"],
    [["--mode", "type3"], "vfio_type1_iommu"],
    [["--kvm-irq", "-z"], "-z"],
    [["-r", "vfio_pci_device_test.reset", "no_such.test"], 'no test has the id "no_such.test"'],
    [["--output", "/report"], "a folder below /"],
    [["-t", "memcpy", "--", "dmesg"], "no option of the suites beside a command"],
  ])("lab run %j", async (args, expected) => {
    const { code, err } = await run("lab", "run", ...args);
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(expected) as string });
    expect(err).not.toContain("not set up");
  });

  it.each([
    [["--kernel", "/nowhere/bzImage"], "does not exist"],
    [["--output", "/nowhere/report"], "a folder that exists"],
    [["--output", "/tmp"], "EISDIR"],
  ])("lab run %j", async (args, expected) => {
    const { code, err } = await run("lab", "run", ...args);
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining(expected) as string });
    expect(err).not.toContain("not set up");
  });
});

describe("what cannot be done ends with 1 and the remedy", () => {
  it.each([
    [["run", "-d", "0000:ff:1f.7"], "vfio-selftests list"],
    [["run", "-d", "ffff:0000"], "vfio-selftests list"],
    [["info", "ffff:0000"], "vfio-selftests list"],
    [["run", "--output", "/nowhere/report", "-t", "reset"], "a folder that exists"],
    [["run", "--driver", "no-such-driver", "-t", "reset"], "npm install --save-dev no-such-driver"],
  ])("%j", async (args, remedy) => {
    const { code, err } = await run(...args);
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining(remedy) as string });
    expect(err).toContain("Remedy: ");
    expect(err).not.toMatch(/\n\s+at /);
  });
});

describe("help and version", () => {
  it.each([
    ["lab", "help", "run"],
    ["lab", "run", "--help"],
  ])("%s %s %s tells devices, IOMMUs and what can be written", async (...args) => {
    const { code, out } = await run(...args);
    expect(code).toBe(0);
    for (const word of ["vfio-user:SOCKET", "model:NAME", '"none"', "--boot-timeout", "--rw", "--yes", "--kvm-irq"]) {
      expect(out).toContain(word);
    }
  });

  it("keep to 80 columns", async () => {
    const long: string[] = [];
    for (const name of ["", ...Object.keys(COMMAND_GROUPS), ...COMMANDS.map((command) => command.name)]) {
      const { out } = await run(...name.split(" ").filter((word) => word !== ""), "--help");
      long.push(...out.split("\n").filter((line) => line.length > 80));
    }
    expect(long).toEqual([]);
  });

  it("are no errors", async () => {
    const help = await run("--help");
    expect(help.code).toBe(0);
    expect(help.out).toContain(
      "Exit codes: 0 all that ran passed, 1 a failure, 2 wrong usage, 3 the VM did not\n            boot, 4 nothing ran",
    );
    expect((await run("--version")).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("list", () => {
  it.each([["list"], ["list --all"]])(
    "%s keeps to 80 columns, so that remedies can be read on a terminal",
    async (line) => {
      const { code, out } = await run(...line.split(" "));
      expect(code).toBe(0);
      expect(out).toContain("mode                    available");
      expect(out.split("\n").filter((text) => text.length > 80)).toEqual([]);
    },
  );

  it("tells the modes, as JSON too", async () => {
    const { code, out } = await run("list", "--json");
    expect(code).toBe(0);
    const { modes } = JSON.parse(out) as {
      modes: { name: string; available: boolean; reason?: string; remedy?: string }[];
    };
    expect(modes.map(({ name }) => name)).toEqual([
      "vfio_type1_iommu",
      "vfio_type1v2_iommu",
      "iommufd_compat_type1",
      "iommufd_compat_type1v2",
      "iommufd",
      "auto",
    ]);
    for (const { available, reason, remedy } of modes) expect(available || (reason !== "" && remedy !== "")).toBe(true);
  });
});

test.each([...new Set(COMMANDS.map(({ name }) => name.split(" ")[0]))])(
  "a remedy that says %s names the command as it was called",
  (command) => {
    expect(asCalled(`vfio-selftests ${command}`, { npm_lifecycle_event: "vfio" })).toBe(`pnpm vfio ${command}`);
  },
);

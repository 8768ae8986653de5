import { readlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { Iommu, PciDevice } from "@vfio-selftests/core";
import { iommuGroupMembers, iommuGroupOf } from "@vfio-selftests/core/sysfs";
import { environmentOptions, fixture, skip, type TargetOptions, type TestIdentity } from "@vfio-selftests/harness";
import { findMode } from "@vfio-selftests/iommu-modes";
import { type CommandResult, PROGRAM, runCommand } from "./run-command";

const QUICK = "vfio_pci_device_test.config_space_read_write";

interface GuestTests {
  readonly guestTests: (options: TargetOptions) => readonly TestIdentity[];
}

/** What the command does to a device of the kernel, and what it says when it cannot. */
fixture("command_on_a_kernel", kernelTarget(), (address) => {
  it("runs_a_test_and_reports_the_device", () => {
    const { code, out } = runCommand(["run", "-d", address, "-r", QUICK]);
    expect(out).toContain(`ok   ${QUICK}`);
    expect(out).toContain(`Devices ${address} on the kernel`);
    expect(out.trimEnd().split("\n").at(-1)).toBe("1 passed, 0 failed, 0 skipped");
    expect(code).toBe(0);
  });

  it("lists_no_test_that_the_lab_would_refuse_before_the_boot", async () => {
    // No export of the package, because nobody else needs it.
    const { guestTests } = (await import(join(dirname(PROGRAM), "lab", "guest-tests.js"))) as GuestTests;
    const possible = new Set(guestTests({ ...environmentOptions({}), lab: true }).map(({ id }) => id));
    const { out, code } = runCommand(["run", "-d", address, "--list"]);
    expect(code).toBe(0);
    const listed = out.trimEnd().split("\n");
    expect(listed.length).toBeGreaterThan(1000);
    expect(listed.filter((id) => !possible.has(id))).toEqual([]);
  });

  it("names_the_process_that_holds_the_device", () => {
    using iommu = new Iommu(findMode("iommufd").open());
    using _device = PciDevice.open(iommu, address);
    const result = runCommand(["run", "-d", address, "-r", QUICK]);
    expectError(result, new RegExp(`Remedy: .*held by process ${process.pid} `));
    const { devices } = JSON.parse(runCommand(["list", "--json"]).out) as {
      devices: { address: string; usable: boolean; reason?: string }[];
    };
    const listed = devices.find((device) => device.address === address);
    expect(listed).toMatchObject({ usable: false, reason: expect.stringContaining(String(process.pid)) as string });
    expectError(
      runCommand(["unbind", address]),
      new RegExp(`is open: .*held by process ${process.pid} .*\\n.*Remedy: end that process`),
    );
    expect(driverOf(address)).toBe("vfio-pci");
  });

  it("tells_who_may_not_open_the_device", () => {
    const result = runCommand(["run", "-d", address, "-r", QUICK], {}, { uid: NOBODY, gid: NOBODY });
    expectError(result, /EACCES|EPERM/);
    expect(result.err).toMatch(/Remedy: .*root/);
  });

  it("unbinds_and_binds_again", () => {
    skipUnlessAlone(address);
    try {
      expect(runCommand(["unbind", address]).code).toBe(0);
      expect(driverOf(address)).not.toBe("vfio-pci");
      expectError(runCommand(["run", "-d", address]), new RegExp(`Remedy: (?!.*sudo).*vfio-selftests bind ${address}`));
    } finally {
      expect(runCommand(["bind", address]).code).toBe(0);
    }
    expect(driverOf(address)).toBe("vfio-pci");
    expect(runCommand(["bind", address]).out).toContain("already");
    expect(runCommand(["run", "-d", address, "-r", QUICK]).code).toBe(0);
  });
});

/** The user id of `nobody`, who owns nothing. */
const NOBODY = 65_534;

function expectError({ code, out, err }: CommandResult, message: RegExp): void {
  expect(err).toMatch(message);
  expect(err).not.toMatch(/\n\s+at .*:\d+:\d+/);
  expect({ code, out }).toEqual({ code: 1, out: "" });
}

function driverOf(address: string): string | undefined {
  try {
    return basename(readlinkSync(`/sys/bus/pci/devices/${address}/driver`));
  } catch {
    return undefined;
  }
}

/** Skips when the group has other members: somebody could be using one of them. */
function skipUnlessAlone(address: string): void {
  const members = iommuGroupMembers(iommuGroupOf(address));
  if (members.length > 1) {
    skip({ reason: "the device shares its IOMMU group", remedy: "use a device with a group of its own" });
  }
}

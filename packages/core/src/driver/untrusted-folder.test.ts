import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asRoot } from "../testing";
import { codeOwner, untrustedFolder } from "./untrusted-folder";

const STRANGER = 12_345;
const USER = 54_321;
const ROOT = { uid: 0 };

asRoot(describe)("untrustedFolder", () => {
  let folder: string;
  let project: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "vfio-trust-"));
    project = join(folder, "a", "project");
    mkdirSync(project, { recursive: true });
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it("lets root load its own code, below a sticky folder, too", () => {
    expect(untrustedFolder(project, ROOT)).toBeUndefined();
  });

  it("names the owner of the folder, and of one above it", () => {
    chownSync(join(folder, "a"), STRANGER, 0);
    expect(untrustedFolder(project, ROOT)).toBe(`${join(folder, "a")} belongs to user ${STRANGER}`);
  });

  it("trusts the user whom root runs for, and no other", () => {
    chownSync(project, USER, USER);
    expect(untrustedFolder(project, { uid: 0, sudoUid: USER })).toBeUndefined();
    expect(untrustedFolder(project, { uid: 0, sudoUid: STRANGER })).toContain(`belongs to user ${USER}`);
  });

  it.each([
    ["every user may write to", 0o777, {}],
    ["every user may write to", 0o1777, {}],
    [`group ${STRANGER} may write to`, 0o775, {}],
    [undefined, 0o775, { sudoGid: STRANGER }],
  ])("%s a folder of mode %o", (reason, mode, sudo) => {
    chownSync(project, 0, STRANGER);
    chmodSync(project, mode);
    const answer = untrustedFolder(project, { ...ROOT, ...sudo });
    if (reason === undefined) expect(answer).toBeUndefined();
    else expect(answer).toBe(`${reason} ${project}`);
  });

  it("looks at a file as at a folder: whose it is, and who may write to it", () => {
    const file = join(project, "driver.cjs");
    writeFileSync(file, "");
    expect(untrustedFolder(file, ROOT)).toBeUndefined();
    chmodSync(file, 0o666);
    expect(untrustedFolder(file, ROOT)).toBe(`every user may write to ${file}`);
  });

  it("looks at what a symbolic link leads to", () => {
    chownSync(project, STRANGER, 0);
    const link = join(folder, "link");
    symlinkSync(project, link);
    expect(untrustedFolder(link, ROOT)).toContain(`belongs to user ${STRANGER}`);
  });

  it("does not keep an ordinary user, or root of a VM, from anything", () => {
    chownSync(project, STRANGER, STRANGER);
    expect(untrustedFolder(project, { uid: USER })).toBeUndefined();
    expect(untrustedFolder(project, { uid: 0, confined: true })).toBeUndefined();
  });
});

it("takes the user whom root runs for from sudo's variables, when they are numbers", () => {
  expect(codeOwner({ SUDO_UID: "1000", SUDO_GID: "100" })).toMatchObject({ sudoUid: 1000, sudoGid: 100 });
  expect(codeOwner({ SUDO_UID: "x" })).toMatchObject({ sudoUid: undefined, sudoGid: undefined });
});

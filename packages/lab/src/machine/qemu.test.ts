import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { addFakeQemu, ALL_MODELS } from "../testing/fake-qemu";
import { makeTestHost } from "../testing/test-host";
import { COMPLETE_QEMU, debianRootQemu, OLDEST_QEMU, systemQemu } from "./qemu";

const failsWith = (code: string, message: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string });

test("a new enough QEMU and virtiofsd serve", async () => {
  using host = makeTestHost();
  addFakeQemu(host, { version: "10.1.0" });
  const qemu = await systemQemu(host, COMPLETE_QEMU);
  expect(qemu.version).toEqual([10, 1]);
  expect(qemu.origin).toBe("system");
});

test("a QEMU that is too old is refused with both versions", async () => {
  using host = makeTestHost();
  addFakeQemu(host, { version: "7.2.17" });
  await expect(systemQemu(host, OLDEST_QEMU)).rejects.toEqual(
    failsWith("ERR_LAB_QEMU_TOO_OLD", /QEMU 7\.2 is too old: 8\.0[^]*Remedy: .*--qemu root/),
  );
});

test("a QEMU without a model that the VM needs is refused with its name", async () => {
  using host = makeTestHost();
  addFakeQemu(host, { models: ALL_MODELS.filter((model) => model !== "vhost-user-fs-pci") });
  await expect(systemQemu(host, OLDEST_QEMU)).rejects.toEqual(failsWith("ERR_LAB_NO_QEMU", /lacks vhost-user-fs-pci/));
});

test("the virtiofsd in C, which has QEMU's version, is refused", async () => {
  using host = makeTestHost();
  addFakeQemu(host, { virtiofsdVersion: "version 7.2.17 (Debian)" });
  await expect(systemQemu(host, OLDEST_QEMU)).rejects.toEqual(
    failsWith("ERR_LAB_QEMU_TOO_OLD", /virtiofsd is too old/),
  );
});

test("a virtiofsd that cannot share read-only is refused", async () => {
  using host = makeTestHost();
  addFakeQemu(host, { virtiofsdOptions: ["--sandbox"] });
  await expect(systemQemu(host, OLDEST_QEMU)).rejects.toEqual(
    failsWith("ERR_LAB_QEMU_TOO_OLD", /virtiofsd is too old: it lacks --readonly/),
  );
});

test("an ordinary user needs a virtiofsd that translates owners", async () => {
  using root = makeTestHost({ uid: 0 });
  addFakeQemu(root, { virtiofsdVersion: "1.10.1" });
  await expect(systemQemu(root, OLDEST_QEMU)).resolves.toBeDefined();
  using user = makeTestHost({ uid: 1000 });
  addFakeQemu(user, { virtiofsdVersion: "1.10.1" });
  await expect(systemQemu(user, OLDEST_QEMU)).rejects.toEqual(failsWith("ERR_LAB_QEMU_TOO_OLD", /1\.13 or newer/));
});

test("a system without QEMU says so", async () => {
  using host = makeTestHost({ path: "/nowhere" });
  await expect(systemQemu(host, OLDEST_QEMU)).rejects.toEqual(failsWith("ERR_LAB_NO_QEMU", /is not installed/));
});

test("a damaged Debian root is refused", async () => {
  using host = makeTestHost();
  mkdirSync(join(host.folder, "qemu"));
  await expect(debianRootQemu(host, join(host.folder, "qemu"))).rejects.toThrow();
});

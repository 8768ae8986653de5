import { makeTestHost } from "../testing/test-host";
import type { Share } from "./shares";
import { virtiofsdArguments } from "./virtual-machine";

const ROOT: Share = { name: "root", folder: "/", writable: false };
const FOLDER: Share = { name: "share0", folder: "/home/x", writable: true };

test("the whole tree is shared read-only, a folder of the caller's to be written", () => {
  using host = makeTestHost({ uid: 0 });
  const args = virtiofsdArguments(host, ROOT, "/s");
  expect(args).toEqual(expect.arrayContaining(["--shared-dir=/", "--readonly", "--socket-path=/s", "--cache=always"]));
  expect(args.join(" ")).not.toContain("translate");
  const folder = virtiofsdArguments(host, FOLDER, "/s");
  expect(folder).toContain("--shared-dir=/home/x");
  expect(folder).not.toContain("--readonly");
});

test("an ordinary user's files are the guest's root's", () => {
  using host = makeTestHost({ uid: 1000 });
  for (const share of [ROOT, FOLDER]) {
    expect(virtiofsdArguments(host, share, "/s")).toEqual(
      expect.arrayContaining(["--translate-uid=map:0:1000:1", "--translate-gid=map:0:1000:1"]),
    );
  }
});

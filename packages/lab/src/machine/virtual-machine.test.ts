import { makeTestHost } from "../testing/test-host";
import { virtiofsdArguments } from "./virtual-machine";

test("root's share is as it is", () => {
  using host = makeTestHost({ uid: 0 });
  const args = virtiofsdArguments(host, "/s");
  expect(args).toEqual(expect.arrayContaining(["--shared-dir=/", "--socket-path=/s", "--cache=always"]));
  expect(args.join(" ")).not.toContain("translate");
});

test("an ordinary user's files are the guest's root's", () => {
  using host = makeTestHost({ uid: 1000 });
  expect(virtiofsdArguments(host, "/s")).toEqual(
    expect.arrayContaining(["--translate-uid=map:0:1000:1", "--translate-gid=map:0:1000:1"]),
  );
});

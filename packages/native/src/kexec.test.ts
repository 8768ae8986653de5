import { native } from "./index";
import * as linux from "./testing/linux";

// kexec itself is tested where it may jump: packages/tests/src/lab, in the lab's VM.
describe("kexecFileLoad", () => {
  it("takes a descriptor and a text", () => {
    expect(() => native.kexecFileLoad("0" as unknown as number, "")).toThrow(/fd is/);
    expect(() => native.kexecFileLoad(0, 5 as unknown as string)).toThrow("commandLine is 5");
  });

  it("loads nothing that is no kernel", () => {
    const file = native.memfdCreate("no kernel", 0);
    // EINVAL: it is empty; EPERM: not root, or locked down; ENOSYS: a kernel without CONFIG_KEXEC_FILE.
    expect([-linux.EINVAL, -linux.EPERM, -linux.ENOSYS]).toContain(native.kexecFileLoad(file, "quiet"));
    native.close(file);
  });
});

import { asCalled } from "./as-called";

const TEXT = "vfio-selftests lab run, or `vfio-selftests bind BDF`; in ~/.cache/vfio-selftests";

test.each([
  [{ npm_lifecycle_event: "vfio" }, "pnpm vfio lab run, or `pnpm vfio bind BDF`; in ~/.cache/vfio-selftests"],
  [
    { npm_lifecycle_event: "npx", npm_command: "exec" },
    "npx vfio-selftests lab run, or `npx vfio-selftests bind BDF`; in ~/.cache/vfio-selftests",
  ],
  [{ npm_lifecycle_event: "test" }, TEXT],
  [{}, TEXT],
])("a remedy names the command as it was called: %j", (environment, expected) => {
  expect(asCalled(TEXT, environment)).toBe(expected);
});

test("root needs no sudo, which a container may not have", () => {
  const remedy = "load it (sudo modprobe vfio-pci): echo 1 | sudo tee FILE; sudoers are others";
  expect(asCalled(remedy, {}, 1000)).toBe(remedy);
  expect(asCalled(remedy, {}, 0)).toBe("load it (modprobe vfio-pci): echo 1 | tee FILE; sudoers are others");
});

test("a word that only begins like a command is left alone", () => {
  expect(asCalled("vfio-selftests runs in a VM", { npm_lifecycle_event: "vfio" })).toBe("vfio-selftests runs in a VM");
});

import { parseGuestMessage } from "./control-channel";

test("the guest's words", () => {
  expect(parseGuestMessage("ready 2.02")).toEqual({ kind: "ready", uptimeSeconds: 2.02 });
  expect(parseGuestMessage("alive")).toEqual({ kind: "alive" });
  expect(parseGuestMessage("exit 130")).toEqual({ kind: "exit", status: 130 });
  expect(parseGuestMessage("failed the guest has no PCI device at x")).toEqual({
    kind: "failed",
    reason: "the guest has no PCI device at x",
  });
});

test.each(["", "exit", "exit x", "hello"])("%j is nothing", (line) => {
  expect(parseGuestMessage(line)).toBeUndefined();
});

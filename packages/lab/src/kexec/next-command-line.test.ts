import { nextCommandLine } from "./next-command-line";

test("the stage goes to init's environment, not to its arguments", () => {
  expect(nextCommandLine("root=root LAB_RUN=/tmp/x init=/bin/sh -- /tmp/x/init.sh\n")).toBe(
    "root=root LAB_RUN=/tmp/x init=/bin/sh LAB_STAGE=2 -- /tmp/x/init.sh",
  );
});

test("a line without arguments for init takes the stage at its end", () => {
  expect(nextCommandLine("root=root\n")).toBe("root=root LAB_STAGE=2");
});

import { dirname, join } from "node:path";
import type { RunEvent } from "@vfio-selftests/harness";
import { notInLab } from "../not-in-lab";
import { PROGRAM } from "./run-command";

interface TestProcessModule {
  readonly TestProcess: new (
    options: object,
    onEvent: (event: RunEvent) => void,
  ) => { readonly ended: Promise<unknown> };
}

/** Names that are longer together than an argument of a program may be: MAX_ARG_STRLEN of <linux/binfmts.h>, 128 KiB. */
const OTHERS = Array.from({ length: 20_000 }, (_, index) => `no_such_test.${index}`);
const ID = "vfio_pci_device_test.reset";

describe("a list of tests of any length", () => {
  notInLab();

  it("reaches_the_process_that_runs_them", async () => {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- the built class, which starts a built program
    const { TestProcess } = require(join(dirname(PROGRAM), "run/test-process.js")) as TestProcessModule;
    const events: RunEvent[] = [];
    const environment = { filter: { ids: [...OTHERS, ID] }, target: { devices: ["model:ioat"] } };
    const { ended } = new TestProcess({ entry: "models", environment }, (event) => events.push(event));
    expect(await ended).toBeUndefined();
    const finished = events.flatMap((event) => (event.kind === "finished" ? [[event.test.id, event.test.status]] : []));
    expect(finished).toEqual([[ID, "passed"]]);
  });
});

import { createModel } from "../../testing/conforming-model";
import { migration } from "../../testing/faults/migration-faults";
import { SERVER_FAULTS } from "../../testing/faults/server-faults";
import { type Fault, FaultyServer } from "../../testing/faulty-server";
import type { CheckResult } from "../check";
import { runServerCheck } from "./run-server-check";
import { SERVER_CHECKS } from "./server-checks";

/** Some checks wait for what must not come, or send thousands of messages. */
jest.setTimeout(180_000);

/** Each check on a server of its own, so that what one does to the server is not told by another. */
function run(makeFault: () => Fault = () => ({}), ids = /./): CheckResult[] {
  return SERVER_CHECKS.filter(({ id }) => ids.test(id)).map((check) => {
    using server = new FaultyServer(createModel, makeFault());
    return runServerCheck(check, server.connect).result;
  });
}

const idsOf = (results: readonly CheckResult[], wanted: CheckResult["verdict"]): string[] =>
  results.filter(({ verdict }) => verdict === wanted).map(({ id }) => id);

test("this package's server passes, one check after the other", () => {
  using server = new FaultyServer(createModel);
  const results = SERVER_CHECKS.map((check) => runServerCheck(check, server.connect).result);
  expect(results.filter(({ verdict }) => verdict === "fail")).toEqual([]);
  expect(idsOf(results, "skip")).toEqual([]);
});

test("a device that migrates is asked everything", () => {
  expect(
    idsOf(
      run(() => ({ answer: migration() }), /^device_feature\./),
      "pass",
    ),
  ).toHaveLength(9);
});

describe("a server that", () => {
  test.each(SERVER_FAULTS)("%s fails the checks for that", (_name, told, makeFault) => {
    const results = run(makeFault, told);
    expect(results.filter(({ verdict }) => verdict !== "fail")).toEqual([]);
    expect(results.length).toBeGreaterThan(0);
  });
});

test("every check fails for some fault", () => {
  const untold = SERVER_CHECKS.filter(({ id }) => !SERVER_FAULTS.some(([, told]) => told.test(id)));
  expect(untold.map(({ id }) => id)).toEqual([]);
});

test("no two checks have the same id", () => {
  expect(new Set(SERVER_CHECKS.map(({ id }) => id)).size).toBe(SERVER_CHECKS.length);
});

test("the checks end when the server has gone, and say so", () => {
  using server = new FaultyServer(createModel, { dies: ({ command }) => command === 13 });
  const reset = SERVER_CHECKS.find(({ id }) => id === "device_reset.reply_has_no_payload");
  if (reset === undefined) throw new Error("no such check");
  expect(runServerCheck(reset, server.connect)).toMatchObject({ gone: true, result: { verdict: "fail" } });
});

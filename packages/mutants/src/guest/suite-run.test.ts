import { runSuites } from "./suite-run";

const program = (script: string, silenceMs = 20_000) =>
  runSuites({ command: [process.execPath, "-e", script, "--"], silenceMs }, ["x.a"]);

const RUN = "console.log(`#  RUN           ${process.argv[1].replace('--run=', '')} ...`);";

test("a run whose tests pass or skip passes, and names those that skip", async () => {
  expect(await program(`${RUN} console.log('ok 1 x.a # SKIP no device (remedy: none)')`)).toEqual({
    kind: "passed",
    skipped: ["x.a"],
  });
});

test("the first failure ends the run, with what the test said", async () => {
  const script = `${RUN} console.log('# expected 1'); console.log('not ok 1 x.a'); setInterval(() => {}, 1000)`;
  expect(await program(script)).toEqual({ kind: "failed", test: "x.a", failure: "expected 1" });
});

test("a run that ends before its first test failed, with its words", async () => {
  expect(await program("console.error('no device'); process.exitCode = 1")).toEqual({
    kind: "failed",
    test: "",
    failure: "no device",
  });
});

test("a run that says nothing any more hangs in the test that it named last, and is ended", async () => {
  const script = `${RUN} process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)`;
  expect(await program(script, 1500)).toEqual({ kind: "hung", test: "x.a" });
});

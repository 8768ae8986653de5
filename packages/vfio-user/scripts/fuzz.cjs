// Serves generated vfio-user messages: `pnpm fuzz [messages] [seed]`, by default 10^7 and a seed of the day. Ends with
// status 1 and names the seed when the server crashes, hangs, answers wrongly, or leaves memory, descriptors or
// mappings behind.
const { fork } = require("node:child_process");
const { join } = require("node:path");
const { setImmediate } = require("node:timers/promises");

/** A server that serves nothing for so long has hung. */
const HANG_MS = 120_000;
/** The most that resident memory may grow after the first tenth of the run. More is a leak. */
const MOST_GROWTH = 64 * 1024 * 1024;

const [, , role, ...rest] = process.argv;

async function serve(messages, seed) {
  require(join(__dirname, "../src/testing/register-typescript.cjs"));
  const { fuzzSessions } = require("../src/testing/fuzz-sessions.ts");
  let settled = 0;
  const result = await fuzzSessions(messages, seed, (done) => {
    if (settled === 0 && done > messages / 10) settled = process.memoryUsage.rss();
    process.send?.({ done });
  });
  for (let i = 0; i < 3; i += 1) {
    await setImmediate();
    global.gc?.();
  }
  process.send?.({ result, growth: process.memoryUsage.rss() - settled });
}

function supervise(messages, seed) {
  if (!Number.isSafeInteger(messages) || messages < 1 || !Number.isSafeInteger(seed)) {
    console.error("usage: pnpm fuzz [messages, 1 or more] [seed, an integer]");
    process.exit(2);
  }
  console.log(`${messages} generated messages, seed ${seed}`);
  const start = performance.now();
  const child = fork(__filename, ["--serve", String(messages), String(seed)], { execArgv: ["--expose-gc"] });
  let [heard, told, outcome] = [performance.now(), 0, undefined];
  const fail = (why) => {
    console.log(`FAILED: ${why}; again with: pnpm fuzz ${messages} ${seed}`);
    process.exitCode = 1;
  };
  child.on("message", (message) => {
    heard = performance.now();
    if (message.result !== undefined) outcome = message;
    else if (message.done - told >= messages / 10) {
      told = message.done;
      console.log(`${told} messages, ${Math.round(told / ((heard - start) / 1000))} a second`);
    }
  });
  const watch = setInterval(() => {
    if (performance.now() - heard < HANG_MS) return;
    clearInterval(watch);
    fail(`nothing was served for ${HANG_MS / 1000} s`);
    child.kill("SIGKILL");
  }, 1000);
  child.on("exit", (code, signal) => {
    clearInterval(watch);
    if (outcome === undefined) return fail(`the server ended with ${signal ?? `status ${code}`}`);
    const { result, growth } = outcome;
    for (const complaint of result.complaints) fail(complaint);
    if (growth > MOST_GROWTH) fail(`${growth >> 20} MiB more memory than after a tenth of the run`);
    const rate = Math.round(result.messages / ((performance.now() - start) / 1000));
    console.log(
      `${result.messages} messages of ${result.sessions} clients, ${result.replies} replies, ${result.dmaRequests} DMA ` +
        `requests, memory +${growth >> 20} MiB: ${rate} messages a second`,
    );
  });
}

if (role === "--serve") void serve(Number(rest[0]), Number(rest[1]));
else supervise(Number(role ?? 1e7), Number(rest[0] ?? Math.floor(Date.now() / 86_400_000)));

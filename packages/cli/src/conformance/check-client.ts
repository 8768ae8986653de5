import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { modelByName } from "@vfio-selftests/device-models";
import { ListeningSocket } from "@vfio-selftests/vfio-user";
import {
  type CheckResult,
  CLIENT_CHECKS,
  type ClientRecord,
  clientScenarios,
  type Scenario,
  serveClient,
  verdictOf,
} from "@vfio-selftests/vfio-user/conformance";
import { ClientProcess } from "./client-process";

export const CHECKS = CLIENT_CHECKS;

interface ClientRun {
  /** Starts the client, once for each scenario. Empty: clients come by themselves. */
  readonly command: readonly string[];
  readonly ids: ReadonlySet<string>;
  readonly socketPath?: string;
  readonly model?: string;
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 60_000;
/** How long a client may do nothing after a fault of the server. */
const FAULT_PATIENCE_MS = 3_000;
const SLICE_MS = 10;

/** Serves clients, one for each scenario, and judges what they said. */
export async function* check({ ids, ...run }: ClientRun): AsyncGenerator<CheckResult> {
  const own = run.socketPath === undefined ? mkdtempSync(join(tmpdir(), "vfio-selftests-conformance-")) : undefined;
  const path = run.socketPath ?? join(own ?? "", "client.sock");
  using _folder = { [Symbol.dispose]: () => own !== undefined && rmSync(own, { recursive: true, force: true }) };
  using socket = new ListeningSocket(path);
  if (run.command.length === 0)
    process.stderr.write(`listening on ${path} (in ${dirname(path)}): start the client now\n`);
  let missing = false;
  for (const scenario of clientScenarios()) {
    const checks = CLIENT_CHECKS.filter((one) => one.scenario === scenario.name && ids.has(one.id));
    if (checks.length === 0) continue;
    const started = performance.now();
    const record: ClientRecord | undefined = missing ? undefined : await meet(socket, scenario, run);
    missing ||= record === undefined && run.command.length === 0;
    const durationMs = (performance.now() - started) / checks.length;
    for (const one of checks) {
      const { id, section } = one;
      const verdict =
        record === undefined
          ? ({ verdict: "skip", ...noClient(run, scenario) } as const)
          : verdictOf(() => one.judge(record));
      yield { id, section, durationMs, ...verdict };
    }
  }
}

function noClient({ timeoutMs = DEFAULT_TIMEOUT_MS, command }: Omit<ClientRun, "ids">, { name }: Scenario) {
  const reason = `no client came within ${timeoutMs / 1000} s for the scenario: ${name}`;
  const remedy =
    command.length === 0
      ? "start the client again each time it ends, or let this command start it: -- command {socket}"
      : "give a command that connects to {socket}";
  return { reason, remedy };
}

/** One client in one scenario. Undefined when none came. */
async function meet(
  socket: ListeningSocket,
  scenario: Scenario,
  { command, model = "ioat", timeoutMs = DEFAULT_TIMEOUT_MS }: Omit<ClientRun, "ids">,
): Promise<ClientRecord | undefined> {
  using client = command.length === 0 ? undefined : new ClientProcess(command, socket.path);
  const deadline = performance.now() + timeoutMs;
  let fd: number | undefined;
  while (fd === undefined && performance.now() < deadline) {
    const ended = client?.ending !== undefined;
    fd = socket.accept(SLICE_MS);
    if (fd === undefined && ended) return undefined;
    await delay(0);
  }
  if (fd === undefined) return undefined;
  const isFault = scenario.reply !== undefined && scenario.heard === undefined;
  const record = await serveClient(fd, {
    model: modelByName(model)(),
    scenario,
    patienceMs: isFault ? Math.min(timeoutMs, FAULT_PATIENCE_MS) : timeoutMs,
    gone: () => client?.ending !== undefined,
  });
  return client === undefined ? record : { ...record, process: await client.end() };
}

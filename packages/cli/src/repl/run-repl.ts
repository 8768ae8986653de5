import { once } from "node:events";
import { createInterface } from "node:readline";
import { type REPLServer, start } from "node:repl";
import { PassThrough } from "node:stream";
import { environmentOptions } from "@vfio-selftests/harness";
import { ExitCode } from "../exit-codes";
import { chooseDrivers, driversToShow } from "../target/choose-drivers";
import { wrapText } from "../terminal/wrap-text";
import { historyFile } from "./history-file";
import { OpenDevice } from "./open-device";
import { Session } from "./session";
import { valueText } from "./value-text";

export interface ReplOptions {
  readonly mode?: string;
  readonly driver?: readonly string[];
}

/** The `repl` command: lines of JavaScript on an open device, until the end of the input or `.exit`. */
export async function runRepl(name: string, { mode, driver }: ReplOptions): Promise<number> {
  const { drivers } =
    driver === undefined ? driversToShow() : chooseDrivers({ ...environmentOptions(), drivers: driver });
  using open = new OpenDevice(name, mode);
  const session = new Session(open, drivers);
  const terminal = process.stdin.isTTY && process.stdout.isTTY;
  if (terminal) for (const line of session.banner()) console.log(line);
  const useColors = terminal && process.env["NO_COLOR"] === undefined;
  const lines = new PassThrough();
  const server = start({
    ...(terminal ? {} : { input: lines, output: process.stdout }),
    prompt: terminal ? `${name}> ` : "",
    terminal,
    useColors,
    // A preview would read registers before the line is entered.
    preview: false,
    ignoreUndefined: true,
    // A loop that waits for a register may never end. After an interrupt in the middle of a message to a vfio-user server,
    // `reopen()` opens the device again.
    breakEvalOnSigint: terminal,
    writer: (value) => valueText(value, useColors),
  });
  offer(server, session);
  if (terminal) keepHistory(server);
  else feedLines(server, lines);
  await once(server, "exit");
  return !terminal && server.lastError !== undefined ? ExitCode.failed : ExitCode.ok;
}

/**
 * Gives the REPL the lines of standard input, each when the one before has ended: Node's REPL waits for a promise only on a
 * terminal. It shows its prompt at the end of every line, and that prompt is not shown here.
 */
function feedLines(server: REPLServer, lines: PassThrough): void {
  let ended = (): void => undefined;
  server.displayPrompt = () => ended();
  const feed = async (): Promise<void> => {
    for await (const line of createInterface({ input: process.stdin })) {
      const end = new Promise<void>((resolve) => (ended = resolve));
      lines.write(`${line}\n`);
      await end;
    }
    lines.end();
  };
  void feed();
}

/** Puts the session's names and commands into the REPL. */
function offer(server: REPLServer, session: Session): void {
  const define = (): void => {
    for (const helper of session.helpers) {
      const get = (): unknown => helper.value();
      Object.defineProperty(server.context, helper.name, { configurable: true, enumerable: true, get });
    }
  };
  define();
  server.on("reset", define);
  const say = (lines: readonly string[]): void => {
    for (const line of lines) server.output.write(`${line}\n`);
    server.displayPrompt();
  };
  server.defineCommand("regs", {
    help: "Read all registers that have a name (a read may have an effect)",
    action: () => say(attempt(() => session.registerLines())),
  });
  server.defineCommand("device", {
    help: "Show which device is open",
    action: () => say(attempt(() => session.banner())),
  });
  const { help } = server.commands;
  server.defineCommand("help", {
    help: "Print this text",
    action() {
      const lines = session.helpers.flatMap(({ name, summary }) => wrapText(name.padEnd(12), summary));
      this.output.write(`${lines.join("\n")}\n`);
      this.output.write("\n");
      help?.action.call(this, "");
    },
  });
}

/** The lines, or the error in their place. */
function attempt(lines: () => readonly string[]): readonly string[] {
  try {
    return lines();
  } catch (error) {
    return [valueText(error)];
  }
}

function keepHistory(server: REPLServer): void {
  const path = historyFile();
  if (path === undefined) return;
  server.setupHistory(path, (error) => {
    if (error !== null) process.stderr.write(`vfio-selftests: no history is kept: ${error.message}\n`);
  });
}

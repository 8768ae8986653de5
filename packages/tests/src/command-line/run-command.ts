import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";

/** The built command. */
export const PROGRAM = join(dirname(require.resolve("@vfio-selftests/cli/package.json")), "dist", "main.js");
/** Longer where the processor is emulated: `vfio-selftests lab` says how much. */
const TIMEOUT_MS = 180_000 * Number(process.env["VFIO_SELFTESTS_SLOWDOWN"] ?? 1);

// A test runs several commands, and each takes seconds even on an idle machine.
jest.setTimeout(4 * TIMEOUT_MS);

export interface CommandResult {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Whose process it is, and in which folder it starts. */
export interface Whereabouts {
  readonly uid?: number;
  readonly gid?: number;
  readonly cwd?: string;
}

/** Runs `vfio-selftests` as a user does: in its own process, without this run's devices. */
export function runCommand(
  ...[args, environment, whereabouts, timeoutMs]: [
    args: readonly string[],
    environment?: Readonly<Record<string, string>>,
    whereabouts?: Whereabouts,
    timeoutMs?: number,
  ]
): CommandResult {
  return runProgram(PROGRAM, args, environment, whereabouts, timeoutMs);
}

/** Runs another copy of the command. */
export function runProgram(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  whereabouts: Whereabouts = {},
  timeoutMs = TIMEOUT_MS,
): CommandResult {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: "utf8",
    timeout: timeoutMs,
    ...whereabouts,
    env: { ...ownEnvironment(), ...environment },
  });
  return { code: status, out: stdout, err: stderr };
}

/** Runs `vfio-selftests` on a pseudo terminal, and returns all that it writes to it. */
export function runOnTerminal(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  columns = 80,
): string {
  // The words are a shell's.
  const command = [process.execPath, PROGRAM, ...args].map((word) => `'${word}'`).join(" ");
  const { stdout } = spawnSync("script", ["-qec", `stty cols ${columns}; ${command}`, "/dev/null"], {
    encoding: "utf8",
    timeout: TIMEOUT_MS,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...ownEnvironment(), TERM: "xterm", ...environment },
  });
  return stdout;
}

/** Whoever runs jest may have asked for colour, or for none. Remedies name the command as a script has called it. */
const NOT_INHERITED = /^(?:VFIO_SELFTESTS_.*|npm_lifecycle_event|CI|NO_COLOR|FORCE_COLOR)$/;

function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !NOT_INHERITED.test(name)));
}

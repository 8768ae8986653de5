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
  // Remedies name the command as a script has called it. These tests call it themselves.
  const inherited = Object.entries(process.env).filter(
    ([name]) => !name.startsWith("VFIO_SELFTESTS_") && name !== "npm_lifecycle_event",
  );
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: "utf8",
    timeout: timeoutMs,
    ...whereabouts,
    env: { ...Object.fromEntries(inherited), ...environment },
  });
  return { code: status, out: stdout, err: stderr };
}

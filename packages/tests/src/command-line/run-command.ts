import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";

/** The built command. */
export const PROGRAM = join(dirname(require.resolve("@vfio-selftests/cli/package.json")), "dist", "main.js");
const TIMEOUT_MS = 60_000;

// A test runs several, each of which takes seconds on a machine with nothing else to do.
jest.setTimeout(4 * TIMEOUT_MS);

export interface CommandResult {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `vfio-selftests` as a user does: a process of its own, without this run's devices. */
export function runCommand(
  ...[args, environment, user]: [
    args: readonly string[],
    environment?: Readonly<Record<string, string>>,
    user?: { readonly uid?: number; readonly gid?: number },
  ]
): CommandResult {
  return runProgram(PROGRAM, args, environment, user);
}

/** Runs another copy of it. */
export function runProgram(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  user: { readonly uid?: number; readonly gid?: number } = {},
): CommandResult {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("VFIO_SELFTESTS_"));
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: "utf8",
    timeout: TIMEOUT_MS,
    ...user,
    env: { ...Object.fromEntries(inherited), ...environment },
  });
  return { code: status, out: stdout, err: stderr };
}

/** The first words of the commands. A test of the command line compares them with its table. */
const COMMANDS =
  "bind|completion|conformance|create|doctor|exec|farm|info|kselftest|lab|list|model|repl|report|restore|run|shell|unbind|upstream";

/** The command, followed by one of its own commands, so that a package's name or a folder's is left alone. */
const COMMAND = new RegExp(`\\bvfio-selftests (?=(?:${COMMANDS})\\b)`, "g");

/** What a shell runs as root. */
const SUDO = /\bsudo (?=[a-z])/g;

/**
 * The text as this process's user can type it. It names the command as it was called: a user of npx or of a clone has no
 * `vfio-selftests` to type. Root needs no `sudo`, and a container has none.
 */
export function asCalled(
  text: string,
  environment: NodeJS.ProcessEnv = process.env,
  uid: number | undefined = process.getuid?.(),
): string {
  const name = commandName(environment);
  const named = name === undefined ? text : text.replace(COMMAND, `${name} `);
  return uid === 0 ? named.replace(SUDO, "") : named;
}

function commandName({ npm_lifecycle_event: script }: NodeJS.ProcessEnv): string | undefined {
  // The script `vfio` of this repository's package.json.
  if (script === "vfio") return "pnpm vfio";
  return script === "npx" ? "npx vfio-selftests" : undefined;
}

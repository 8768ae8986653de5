/** Words of a repeating command where a report does not tell them: of a run of before reports did. */
const UNKNOWN: readonly string[] = ["run"];

/** The command line that runs these tests again as the report's run did. Several tests have a line each. */
export function repeatingCommand(command: readonly string[] = UNKNOWN, ids: readonly string[] = []): string {
  const head = ["vfio-selftests", ...command].map(quote).join(" ");
  return [head, ...ids.map((id) => `-r ${quote(id)}`)].join(ids.length > 1 ? " \\\n  " : " ");
}

/** A word for a POSIX shell, quoted where it needs that. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

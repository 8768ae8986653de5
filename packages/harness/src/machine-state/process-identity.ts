import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";

/**
 * A name that no later process gets, even with the same id: `4711-1234567`, the id and the start time in clock ticks.
 */
export function processIdentity(pid: number): string | undefined {
  const stat = readAttribute(systemPaths.proc(String(pid), "stat"));
  // The command's name, in parentheses, may hold anything. Start time is field 22 (proc_pid_stat(5)), state is field 3.
  const [state, ...fields] = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
  if (state === undefined || state === "Z" || state === "X") return undefined;
  return `${pid}-${fields[18] ?? ""}`;
}

import { readAttribute, type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";

/** Addresses of the kernel's code: from `start` up to `end`. */
export interface CodeRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** Functions of ACPICA's parts (drivers/acpi/acpica: dispatcher, events, interpreter, …, utilities). */
const ACPICA = /^acpi_(?:ds|ev|ex|hw|ns|ps|rs|tb|ut)_/;
/** Code that follows: the linker puts ACPICA's files one behind the other. Its rarely used code lies elsewhere. */
const FARTHEST = 0x1_0000n;

/**
 * Where the running kernel has ACPI's interpreter, by /proc/kallsyms, which shows addresses to root alone; undefined for a
 * kernel without.
 */
export function acpiInterpreter(paths: SystemPaths = systemPaths): CodeRange | undefined {
  const functions = codeOf(readAttribute(paths.proc("kallsyms")) ?? "");
  const runs: bigint[][] = [];
  for (const { address } of functions.filter(({ name }) => ACPICA.test(name))) {
    const run = runs.at(-1);
    if (run !== undefined && address - (run.at(-1) ?? 0n) < FARTHEST) run.push(address);
    else runs.push([address]);
  }
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), []);
  const [start, last] = [longest[0], longest.at(-1)];
  if (start === undefined || last === undefined) return undefined;
  return { start, end: functions.find(({ address }) => address > last)?.address ?? last + 1n };
}

/** The functions among the symbols that have an address, ascending. */
function codeOf(symbols: string): { readonly address: bigint; readonly name: string }[] {
  const functions = symbols.split("\n").flatMap((line) => {
    const [address = "", kind = "", name = ""] = line.split(/\s/);
    return /^t$/i.test(kind) && /[1-9a-f]/.test(address) ? [{ address: BigInt(`0x${address}`), name }] : [];
  });
  return functions.sort((a, b) => (a.address < b.address ? -1 : 1));
}

import type { Machine } from "./machine/machine";

/** How to change a parameter of the kernel on this machine, as the part of a finding that mends it. */
export function bootCommands(
  { bootLoader }: Machine,
  change: { readonly add: string } | { readonly remove: string },
): { readonly advice?: string; readonly commands: readonly string[] } {
  const adds = "add" in change;
  const parameter = adds ? change.add : change.remove;
  if (bootLoader !== undefined) {
    return { commands: [adds ? bootLoader.add(parameter) : bootLoader.remove(parameter), "sudo reboot"] };
  }
  const what = adds ? `add ${parameter} to` : `take ${parameter} out of`;
  return { advice: `${what} the kernel's parameters in the boot loader, then boot anew`, commands: ["sudo reboot"] };
}

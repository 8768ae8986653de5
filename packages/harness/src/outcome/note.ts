/** Global of a test's realm that collects the running test's lines. jest-environment.ts sets it. @internal */
export const NOTES = Symbol.for("vfio-selftests.notes");

/** Attaches one line to the running test's result. Every report shows it. */
export function note(text: string): void {
  const lines = (globalThis as { [NOTES]?: string[] })[NOTES];
  if (lines === undefined) console.info(text);
  else lines.push(text);
}

/** Says that the running test left a check out, so that its pass does not claim it. */
export function notChecked(what: string, reason: string): void {
  note(`not checked: ${what}: ${reason}`);
}

/** Global of a test's realm that collects the running test's lines; jest-environment.ts puts it there. @internal */
export const NOTES = Symbol.for("vfio-selftests.notes");

/** Attaches one line to the running test's result; every report shows it. */
export function note(text: string): void {
  const lines = (globalThis as { [NOTES]?: string[] })[NOTES];
  if (lines === undefined) console.info(text);
  else lines.push(text);
}

/** Says that a part of the running test could not be checked, so that its pass does not claim it. */
export function notChecked(what: string, reason: string): void {
  note(`not checked: ${what}: ${reason}`);
}

/** What separates the kernel's parameters from init's arguments. */
const TO_INIT = " -- ";

/** The running kernel's command line for the next one: init learns from it that this is the second stage. */
export function nextCommandLine(commandLine: string): string {
  const [parameters = "", ...toInit] = commandLine.trimEnd().split(TO_INIT);
  return [`${parameters} LAB_STAGE=2`, ...toInit].join(TO_INIT);
}

/** Checks of what the vfio-user specification demands of a peer. Apart from the main entry, because no test needs it. */
export type { CheckName, CheckResult, Verdict } from "./check";
export type { ServerCheck } from "./server/family";
export type { ServerCheckResult } from "./server/run-server-check";
export { runServerCheck } from "./server/run-server-check";
export { SERVER_CHECKS } from "./server/server-checks";
export { connectTo } from "./wire/connect";
export type { Peer } from "./wire/conversation";

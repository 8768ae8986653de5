/** Checks of what the vfio-user specification demands of a peer. Apart from the main entry, because no test needs it. */
export { type CheckName, type CheckResult, type Verdict, verdictOf } from "./check";
export type { ClientCheck } from "./client/client-family";
export { CLIENT_CHECKS, clientScenarios } from "./client/client-checks";
export type { ClientRecord } from "./client/client-record";
export type { Scenario } from "./client/scenario";
export type { ServeClientOptions } from "./client/serve-client";
export { serveClient } from "./client/serve-client";
export type { ServerCheck } from "./server/family";
export type { ServerCheckResult } from "./server/run-server-check";
export { runServerCheck } from "./server/run-server-check";
export { SERVER_CHECKS } from "./server/server-checks";
export { connectTo } from "./wire/connect";
export type { Peer } from "./wire/conversation";

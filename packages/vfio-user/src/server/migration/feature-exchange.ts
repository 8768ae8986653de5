import type { Exchange } from "../session/exchange";
import type { MigrationMachine } from "./migration-machine";

/** What a feature's methods need: the exchange, the device's states, and where the data lie in request and reply. */
export interface FeatureExchange extends Exchange {
  readonly machine: MigrationMachine;
  /** The request's data. */
  readonly data: Uint8Array;
  /** How many bytes of data the reply may have. */
  readonly room: number;
}

import type { CheckName } from "../check";
import type { ServerUnderTest } from "./server-under-test";

/** One demand of the specification on a server. `run` throws a Departure or NotApplicable. */
export interface ServerCheck extends CheckName {
  /** Talks to the server. Returns if it did what the specification demands. */
  run(server: ServerUnderTest): void;
}

/** The checks of one section, by their names within the family. */
export function family(
  name: string,
  section: string,
  checks: Readonly<Record<string, (server: ServerUnderTest) => void>>,
): readonly ServerCheck[] {
  return Object.entries(checks).map(([check, run]) => ({ id: `${name}.${check}`, section, run }));
}

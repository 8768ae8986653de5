import { commandOf } from "../../protocol/commands";
import { type CheckName, demand, NotApplicable } from "../check";
import { u32At, u64At } from "../wire/bytes";
import { type ClientRecord, commandsOf, type Entry } from "./client-record";

/** One demand of the specification on a client: what its conversation with a server in this scenario must look like. */
export interface ClientCheck extends CheckName {
  /** The name of the scenario that the client must meet. */
  readonly scenario: string;
  /** Throws a Departure or NotApplicable. */
  judge(record: ClientRecord): void;
}

/** Bytes of the fields of each request. */
export const FIELDS: Readonly<Record<number, number>> = {
  1: 4,
  2: 32,
  3: 24,
  4: 16,
  5: 32,
  6: 16,
  7: 16,
  8: 20,
  9: 16,
  10: 16,
  15: 8,
  16: 8,
  17: 8,
  18: 8,
};

export const nameOf = ({ command }: Entry): string => commandOf(command)?.name ?? `command ${command}`;

export function family(
  name: string,
  section: string,
  scenario: string,
  checks: Readonly<Record<string, (record: ClientRecord) => void>>,
): readonly ClientCheck[] {
  return Object.entries(checks).map(([check, judge]) => ({ id: `${name}.${check}`, section, scenario, judge }));
}

/** A check of every command with this number that has all its fields. */
export function each(
  number: number,
  check: (entry: Entry, record: ClientRecord) => void,
): (record: ClientRecord) => void {
  return (record) => {
    const found = commandsOf(record, number).filter(({ body }) => body.length >= (FIELDS[number] ?? 0));
    if (found.length === 0) {
      const name = commandOf(number)?.name ?? String(number);
      throw new NotApplicable(`the client sent no ${name}`, "make the client do more: use the device");
    }
    for (const entry of found) check(entry, record);
  };
}

export const field = ({ body }: Entry, offset: number): number => u32At(body, offset);
export const wide = ({ body }: Entry, offset: number): bigint => u64At(body, offset);

/** Requires zeros in 32-bit fields of a request, "all other fields must be zero". */
export function requireZeros(entry: Entry, offsets: readonly number[]): void {
  for (const at of offsets) demand(field(entry, at) === 0, `0 at offset ${at} of ${nameOf(entry)}`, field(entry, at));
}

export function requireArgsz(entry: Entry, least: number): void {
  demand(field(entry, 0) >= least, `an argsz of at least ${least} in ${nameOf(entry)}`, field(entry, 0));
}

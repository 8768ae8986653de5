import { InvalidArgumentError } from "commander";
import type { Shard } from "@vfio-selftests/harness";
import type { OptionSpec } from "../options/option";

const MOST_SHARDS = 10_000;

/** One part of several: `2/3`. */
export function shard(flags: string, summary: string): OptionSpec<Shard> {
  const parse = (value: string): Shard => {
    const [, index, count] = (/^(\d+)\/(\d+)$/.exec(value) ?? []).map(Number);
    if (index !== undefined && count !== undefined && index >= 1 && index <= count && count <= MOST_SHARDS) {
      return { index, count };
    }
    throw new InvalidArgumentError("The number of a part and how many there are is expected: 1/3, 2/3, 3/3.");
  };
  return { flags, summary, parse, write: ({ index, count }) => [`${index}/${count}`] };
}

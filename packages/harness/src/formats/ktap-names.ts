import { createHash } from "node:crypto";

/**
 * Names for results that are different for every parser. A parser of KTAP takes a name to the first `#`, LAVA's makes `_` of all
 * but letters, digits, `_` and `-` (test-definitions, kselftest/parse-output.py), and KernelCI takes `.` for a step of a path.
 * Keeps an id of ours as it is. Ids that only the signs between their words distinguish get a hash.
 */
export function uniqueNames(ids: readonly string[]): readonly string[] {
  const shared = new Set<string>();
  const seen = new Set<string>();
  for (const id of ids) (seen.has(words(id)) ? shared : seen).add(words(id));
  const times = new Map<string, number>();
  return ids.map((id) => {
    const time = (times.get(id) ?? 0) + 1;
    times.set(id, time);
    return shared.has(words(id)) ? `${slug(id)}-${hash(`${id} ${time}`)}` : slug(id);
  });
}

function slug(id: string): string {
  return id.replace(/[^\w.-]+/g, "_").replace(/^_+|_+$/g, "") || "unnamed";
}

/** What the coarsest parser leaves of a name. */
function words(id: string): string {
  return slug(id)
    .replace(/[^A-Za-z0-9]+/g, "_")
    .replace(/^_|_$/g, "");
}

function hash(id: string): string {
  return createHash("sha1").update(id).digest("hex").slice(0, HASH_DIGITS);
}

const HASH_DIGITS = 8;

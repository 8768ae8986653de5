/** Checks a value of a JSON file. Throws a {@link Mismatch} that says where it is wrong. */
export type Check = (value: unknown, place: string) => void;

/** A value that does not have its declared shape. */
export class Mismatch extends Error {}

export const text: Check = (value, place) => {
  if (typeof value !== "string") throw mismatch(place, value, "a text");
};

/** A number that is not negative: a duration or a count. */
export const amount: Check = (value, place) => {
  if (typeof value !== "number" || !(value >= 0 && Number.isFinite(value)))
    throw mismatch(place, value, "a number from 0");
};

export const flag: Check = (value, place) => {
  if (typeof value !== "boolean") throw mismatch(place, value, "true, false");
};

/** A whole number from `least`. */
export function whole(least: number): Check {
  return (value, place) => {
    if (!Number.isSafeInteger(value) || (value as number) < least) {
      throw mismatch(place, value, `a whole number from ${least}`);
    }
  };
}

export function oneOf(...values: readonly string[]): Check {
  return (value, place) => {
    if (typeof value !== "string" || !values.includes(value)) throw mismatch(place, value, values.join(", "));
  };
}

/** A time as `Date.toISOString` writes it, whose order is that of its text. */
export const time: Check = (value, place) => {
  if (typeof value !== "string" || !isTime(value)) throw mismatch(place, value, "a time like 2026-01-31T23:59:59.000Z");
};

function isTime(text: string): boolean {
  const date = new Date(text);
  return !Number.isNaN(date.getTime()) && date.toISOString() === text;
}

export function listOf(check: Check): Check {
  return (value, place) => {
    if (!Array.isArray(value)) throw mismatch(place, value, "a list");
    for (const [index, element] of value.entries()) check(element, `${place}[${index}]`);
  };
}

/** The checks of an object's fields by their names. A name that ends in `?` may be absent; others that are there are refused. */
export type Fields = Readonly<Record<string, Check>>;

export function objectOf(fields: Fields): Check {
  const names = Object.keys(fields).map((name) => name.replace("?", ""));
  return (value, place) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw mismatch(place, value, "an object");
    const prefix = place === "" ? "" : `${place}.`;
    const unknown = Object.keys(value).find((name) => !names.includes(name));
    if (unknown !== undefined) throw new Mismatch(`${prefix}${unknown} is a field that this version does not know`);
    for (const [field, check] of Object.entries(fields)) {
      const name = field.replace("?", "");
      const has = Object.hasOwn(value, name);
      if (has) check((value as Readonly<Record<string, unknown>>)[name], prefix + name);
      else if (name === field) throw new Mismatch(`${prefix}${name} is missing`);
    }
  };
}

function mismatch(place: string, value: unknown, allowed: string): Mismatch {
  const shown = JSON.stringify(value);
  const short = shown.length > LONGEST ? `${shown.slice(0, LONGEST)}…` : shown;
  return new Mismatch(`${place === "" ? "the file" : place} is ${short}; allowed: ${allowed}`);
}

/** Characters of a wrong value that an error quotes. */
const LONGEST = 60;

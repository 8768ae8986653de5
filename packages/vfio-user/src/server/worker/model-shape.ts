type Check = (value: unknown) => string | undefined;
type Fields = Readonly<Record<string, Check>>;

const PAGE_SIZE = 4096;
/** MSI-X has at most 2048 vectors. */
const MOST_VECTORS = 2048;
/** VFIO's indexes are small. Device-specific regions follow the nine of PCI. */
const MOST_INDEXES = 64;

const mustBe = (what: string, good: (value: unknown) => boolean): Check => {
  return (value) => (good(value) ? undefined : `is ${describe(value)}; it must be ${what}`);
};
const optional = (check: Check): Check => {
  return (value) => (value === undefined ? undefined : check(value));
};
const integer = (max: number): Check => {
  const good = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max;
  return mustBe(`an integer from 0 to ${max}`, good);
};
const aFunction = mustBe("a function", (value) => typeof value === "function");
const aBoolean = mustBe("true or false", (value) => typeof value === "boolean");
const pages = mustBe(
  "a multiple of 4096",
  (value) => Number.isSafeInteger(value) && (value as number) % PAGE_SIZE === 0,
);

const area = object({ offset: pages, size: pages });
const memory = object({ fd: integer(2 ** 31 - 1), areas: arrayOf(area) });

const region = object({
  size: integer(2 ** 52),
  access: optional(
    mustBe("read, write or read-write", (value) => ["read", "write", "read-write"].includes(value as string)),
  ),
  read: aFunction,
  write: aFunction,
  read64: optional(aFunction),
  write64: optional(aFunction),
  write64Bytes: optional(aFunction),
  memory: optional(memory),
});

const irq = object({
  count: integer(MOST_VECTORS),
  maskable: optional(aBoolean),
  autoMasked: optional(aBoolean),
  noResize: optional(aBoolean),
});

const migration = object({
  version: integer(2 ** 32 - 1),
  saveAhead: optional(aFunction),
  save: aFunction,
  load: aFunction,
});

const model = object({
  name: mustBe("a text", (value) => typeof value === "string" && value !== ""),
  regions: mapOf(region),
  irqs: mapOf(irq),
  attach: aFunction,
  reset: aFunction,
  step: aFunction,
  clientGone: optional(aFunction),
  close: optional(aFunction),
  migration: optional(migration),
});

/** Why a value is no `DeviceModel`, in words that follow its name; undefined if it is one. */
export function modelShapeError(value: unknown): string | undefined {
  return model(value);
}

function object(fields: Fields): Check {
  return (value) => {
    if (typeof value !== "object" || value === null) return `is ${describe(value)}; it must be an object`;
    for (const [name, check] of Object.entries(fields)) {
      const wrong = check((value as Readonly<Record<string, unknown>>)[name]);
      if (wrong !== undefined) return join(`.${name}`, wrong);
    }
    return undefined;
  };
}

function arrayOf(check: Check): Check {
  return (value) => {
    if (!Array.isArray(value)) return `is ${describe(value)}; it must be an array`;
    for (const [i, item] of value.entries()) {
      const wrong = check(item);
      if (wrong !== undefined) return join(`[${i}]`, wrong);
    }
    return undefined;
  };
}

function mapOf(check: Check): Check {
  return (value) => {
    if (!(value instanceof Map)) return `is ${describe(value)}; it must be a Map by VFIO index`;
    for (const [index, item] of value as ReadonlyMap<unknown, unknown>) {
      const wrongIndex = integer(MOST_INDEXES)(index);
      if (wrongIndex !== undefined) return `has a key that ${wrongIndex}`;
      const wrong = check(item);
      if (wrong !== undefined) return join(`.get(${String(index)})`, wrong);
    }
    return undefined;
  };
}

/** Makes `.regions.get(0) is …` from `.regions` and `.get(0) is …`. */
function join(path: string, rest: string): string {
  return /^[.[]/.test(rest) ? path + rest : `${path} ${rest}`;
}

function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return "an array";
  if (value instanceof Promise) return "a promise";
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "function" ? "a function" : String(value);
}

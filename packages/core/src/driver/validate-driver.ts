import { VfioError } from "../errors/vfio-error";
import type { Driver } from "./driver";

/**
 * The driver of a package or module: its export `driver`, its default export, or the export itself. Throws
 * `ERR_INVALID_DRIVER`, which lists everything that is missing or has the wrong type.
 */
export function driverOfModule(exported: unknown, origin: string): Driver {
  // A module compiled to CommonJS and loaded as an ES module has its exports one level deeper, under `default`.
  const module = property(exported, "driver") === undefined ? (property(exported, "default") ?? exported) : exported;
  const candidate = property(module, "driver") ?? property(module, "default") ?? module;
  return validateDriver(candidate, origin);
}

/** Returns `value` as a {@link Driver}, or throws `ERR_INVALID_DRIVER`, which lists what is wrong. */
export function validateDriver(value: unknown, origin: string): Driver {
  const problems = driverProblems(value);
  if (problems.length > 0) {
    throw new VfioError(`${origin} does not export a driver: ${problems.join("; ")}`, {
      code: "ERR_INVALID_DRIVER",
      operation: "load driver",
      subject: origin,
      remedy: "export an object of type Driver (@vfio-selftests/core) as `driver` or as the default export",
    });
  }
  return value as Driver;
}

/** Throws `ERR_INVALID_DRIVER` if the result of a driver's `create` lacks a method that every driver must have. */
export function checkInstance(driver: string, instance: unknown): void {
  const missing = INSTANCE_METHODS.filter((name) => typeof property(instance, name) !== "function");
  if (missing.length === 0) return;
  throw new VfioError(`driver ${driver}: what create() gives has no ${missing.join("(), no ")}()`, {
    code: "ERR_INVALID_DRIVER",
    operation: "Driver.create",
    subject: driver,
    remedy: "implement DriverInstance (@vfio-selftests/core) as a whole",
  });
}

const INSTANCE_METHODS = ["memcpyStart", "memcpyEnded", "memcpyWait", "remove"] as const;

function driverProblems(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [`the export is ${typeName(value)}, must be an object`];
  const problems: string[] = [];
  const expect = (key: string, allowed: string, accepts: (field: unknown) => boolean): void => {
    const field = property(value, key);
    if (field === undefined) problems.push(`${key} is missing, must be ${allowed}`);
    else if (!accepts(field)) problems.push(`${key} is ${typeName(field)}, must be ${allowed}`);
  };
  expect("name", "a non-empty string", (name) => typeof name === "string" && name !== "");
  expect("regionSize", "a number of bytes, at least 1", (size) => Number.isSafeInteger(size) && (size as number) > 0);
  expect("create", "a function", (create) => typeof create === "function");
  const ids = property(value, "ids");
  const probe = property(value, "probe");
  if (ids === undefined && probe === undefined) problems.push("ids and probe are missing, at least one must be there");
  if (ids !== undefined) problems.push(...idProblems(ids));
  if (probe !== undefined && typeof probe !== "function") {
    problems.push(`probe is ${typeName(probe)}, must be a function`);
  }
  const hidden = property(value, "hiddenFaults");
  if (hidden !== undefined) problems.push(...hiddenFaultProblems(hidden));
  return problems;
}

function hiddenFaultProblems(hidden: unknown): string[] {
  const kinds = property(hidden, "kinds");
  const why = property(hidden, "why");
  const problems: string[] = [];
  if (!Array.isArray(kinds) || !kinds.every((kind) => kind === "unmapped" || kind === "read-only")) {
    problems.push(`hiddenFaults.kinds is ${typeName(kinds)}, must be an array of "unmapped" and "read-only"`);
  }
  if (typeof why !== "string" || why === "") {
    problems.push(`hiddenFaults.why is ${typeName(why)}, must be a non-empty string`);
  }
  return problems;
}

function idProblems(ids: unknown): string[] {
  if (!Array.isArray(ids) || ids.length === 0) return [`ids is ${typeName(ids)}, must be an array of at least one`];
  return ids.flatMap((id: unknown, position) =>
    (["vendor", "device"] as const).flatMap((key) => {
      const number = property(id, key);
      if (Number.isInteger(number) && (number as number) >= 0 && (number as number) <= 0xffff) return [];
      return [`ids[${position}].${key} is ${typeName(number)}, must be an integer from 0 to 0xffff`];
    }),
  );
}

function property(value: unknown, key: string): unknown {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return undefined;
  return (value as Record<string, unknown>)[key];
}

function typeName(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") return String(value);
  if (typeof value === "object") return "an object";
  return `a ${typeof value}`;
}

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "../errors/vfio-error";

/** The contents of a project's `vfio-selftests.config.json`. */
export interface ProjectConfig {
  /** Driver packages by name, or modules by path relative to the project. */
  readonly drivers?: readonly string[];
}

/** A configuration and its file. Without a file in the project: an empty configuration, and no file. */
export interface LoadedProjectConfig {
  /** The configuration's file. */
  readonly path?: string;
  /** Its content. */
  readonly config: ProjectConfig;
}

/** Only data: a configuration of code would run before anybody could tell whose code it is. */
const FILE_NAME = "vfio-selftests.config.json";
const OTHER_NAMES = ["cjs", "js", "mjs", "ts"].map((extension) => `vfio-selftests.config.${extension}`);
const KNOWN_KEYS: readonly string[] = ["drivers"];

/** Reads a project's configuration. Throws `ERR_INVALID_CONFIG` for invalid JSON, unknown keys and wrong types. */
export function loadProjectConfig(projectDirectory: string): LoadedProjectConfig {
  const path = join(projectDirectory, FILE_NAME);
  const other = OTHER_NAMES.map((name) => join(projectDirectory, name)).find((file) => existsSync(file));
  if (other !== undefined) throw configError(other, "a configuration is JSON", `write ${FILE_NAME}`);
  if (!existsSync(path)) return { config: {} };
  return { path, config: checkConfig(path, readConfig(path)) };
}

function readConfig(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw configError(path, `it cannot be read: ${reason}`, "correct the file", error);
  }
}

function checkConfig(path: string, config: unknown): ProjectConfig {
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw configError(path, "it must be an object", 'for example { "drivers": ["@acme/vfio-driver"] }');
  }
  const unknownKeys = Object.keys(config).filter((key) => !KNOWN_KEYS.includes(key));
  if (unknownKeys.length > 0) {
    throw configError(path, `unknown key ${unknownKeys.join(", ")}`, `allowed: ${KNOWN_KEYS.join(", ")}`);
  }
  const { drivers } = config as { drivers?: unknown };
  if (drivers === undefined) return {};
  if (!Array.isArray(drivers) || !drivers.every((name): name is string => typeof name === "string" && name !== "")) {
    throw configError(path, "drivers must be an array of package names or paths", 'for example ["./my-driver.cjs"]');
  }
  return { drivers };
}

function configError(path: string, problem: string, remedy: string, cause?: unknown): VfioError {
  return new VfioError(`${path}: ${problem}`, {
    code: "ERR_INVALID_CONFIG",
    operation: "load configuration",
    subject: path,
    remedy,
    cause,
  });
}

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { VfioError } from "../errors/vfio-error";
import type { RegisteredDriver } from "./driver-registry";
import { loadProjectConfig } from "./project-config";
import { type CodeOwner, codeOwner, untrustedFolder } from "./untrusted-folder";
import { driverOfModule } from "./validate-driver";

/** A package with this keyword in its package.json is a driver. */
export const DRIVER_KEYWORD = "vfio-selftests-driver";

/** The project's own folder, as the path of a module. */
const PROJECT_ITSELF = "./";

interface PackageJson {
  readonly name?: unknown;
  readonly keywords?: unknown;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** The drivers that a project's folder offers. */
export interface DiscoveredDrivers {
  /** The drivers that were loaded. */
  readonly drivers: readonly RegisteredDriver[];
  /** Drivers that root does not load: a line for each, with the reason and what to do. */
  readonly refused: readonly string[];
  /** One error for each that is none: `ERR_DRIVER_NOT_FOUND` (not built, too), `ERR_DRIVER_NOT_LOADED`, `ERR_INVALID_DRIVER`. */
  readonly broken: readonly VfioError[];
}

/**
 * The drivers of a project: the project itself and its dependencies, if they carry the keyword `vfio-selftests-driver`,
 * and those that its configuration names. It loads and checks each; a broken one does not keep the others away. Nobody named
 * them on the command line, so root loads none from a folder that another user controls ({@link untrustedFolder}). Throws
 * `ERR_INVALID_CONFIG`.
 */
export function discoverDrivers(projectDirectory: string, owner: CodeOwner = codeOwner()): DiscoveredDrivers {
  const names = new Set(driverDependencies(projectDirectory));
  const { config } = loadProjectConfig(projectDirectory);
  for (const name of config.drivers ?? []) names.add(name);

  const drivers: RegisteredDriver[] = [];
  const refused: string[] = [];
  const broken: VfioError[] = [];
  for (const name of names) {
    try {
      const found = resolveDriver(name, projectDirectory);
      const [reason] = [projectDirectory, dirname(found.file), found.file].flatMap(
        (path) => untrustedFolder(path, owner) ?? [],
      );
      if (reason === undefined) drivers.push(load(found));
      else refused.push(`${found.origin} is not loaded as root: ${reason}. To load it all the same: --driver ${name}`);
    } catch (error) {
      if (!(error instanceof VfioError)) throw error;
      broken.push(error);
    }
  }
  return { drivers, refused, broken };
}

/**
 * Loads one driver: by path (absolute, or relative to the project if it begins with a dot), by the name of a package, or by
 * its own name when it is one that {@link discoverDrivers} finds. Throws `ERR_DRIVER_NOT_FOUND`, `ERR_DRIVER_NOT_LOADED` or
 * `ERR_INVALID_DRIVER`.
 */
export function loadDriver(nameOrPath: string, projectDirectory: string, owner?: CodeOwner): RegisteredDriver {
  let found: FoundDriver;
  try {
    found = resolveDriver(nameOrPath, projectDirectory);
  } catch (error) {
    const discovered = isPath(nameOrPath) ? undefined : discoveredDriver(nameOrPath, projectDirectory, owner);
    if (discovered === undefined) throw error;
    return discovered;
  }
  return load(found);
}

/** A driver's own name can be told only by loading it. Throws a broken driver's error where none has the name: it may be that one. */
function discoveredDriver(name: string, projectDirectory: string, owner?: CodeOwner): RegisteredDriver | undefined {
  const { drivers, broken } = discoverDrivers(projectDirectory, owner);
  const found = drivers.find(({ driver }) => driver.name === name);
  if (found === undefined && broken[0] !== undefined) throw broken[0];
  return found;
}

/** A driver's module, found but not loaded. */
export interface FoundDriver {
  /** The package's name, or the absolute path. */
  readonly origin: string;
  /** The module's path. */
  readonly file: string;
  /** Loads modules as the project's own code would. */
  readonly requireFromProject: NodeJS.Require;
}

/** Finds a driver by its path or its package's name, without loading it. Throws `ERR_DRIVER_NOT_FOUND`. */
export function resolveDriver(nameOrPath: string, projectDirectory: string): FoundDriver {
  const byPath = isPath(nameOrPath);
  const origin = byPath ? resolve(projectDirectory, nameOrPath) : nameOrPath;
  const requireFromProject = createRequire(join(resolve(projectDirectory), "package.json"));
  try {
    return { origin, file: requireFromProject.resolve(origin), requireFromProject };
  } catch (error) {
    const [reason] = error instanceof Error ? error.message.split("\n") : [String(error)];
    throw new VfioError(`driver ${origin} was not found from ${projectDirectory}: ${reason}`, {
      code: "ERR_DRIVER_NOT_FOUND",
      operation: "load driver",
      subject: origin,
      remedy: byPath
        ? "check the path; a package must be built"
        : `install it (npm install --save-dev ${nameOrPath}) and build it where it is a workspace package; a path begins with ./`,
      cause: error,
    });
  }
}

function isPath(nameOrPath: string): boolean {
  return isAbsolute(nameOrPath) || nameOrPath.startsWith("./") || nameOrPath.startsWith("../");
}

function load({ origin, file, requireFromProject }: FoundDriver): RegisteredDriver {
  let exported: unknown;
  try {
    exported = requireFromProject(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new VfioError(`driver ${origin} cannot be loaded: ${reason}`, {
      code: "ERR_DRIVER_NOT_LOADED",
      operation: "load driver",
      subject: origin,
      // jest, which runs the suites, says this where it cannot load ES modules.
      remedy: reason.includes("ES Module")
        ? "give the package a CommonJS entry (`exports` with the condition require), or use Node 24.9 or newer"
        : `correct the driver: its module throws while it is loaded${placeOf(error)}`,
      cause: error,
    });
  }
  return { driver: driverOfModule(exported, origin), origin };
}

/** The first place that the error's stack names: where the module threw, or where it is no JavaScript. */
function placeOf(error: unknown): string {
  const stack = error instanceof Error ? error.stack : undefined;
  const [, place] = /(?:^|\(|at )((?:file:\/\/)?\/.*?:\d+)(?:$|:\d+\)?$)/m.exec(stack ?? "") ?? [];
  return place === undefined ? "" : `, at ${place}`;
}

/** The names of the packages with the keyword {@link DRIVER_KEYWORD}: the project itself, and its dependencies. Loads none. */
export function driverPackages(projectDirectory: string): string[] {
  const names = driverDependencies(projectDirectory).filter((name) => name !== PROJECT_ITSELF);
  const { name, ...project } = readPackageJson(manifestOf(projectDirectory));
  return isDriver(project) && typeof name === "string" ? [name, ...names] : names;
}

/**
 * The project itself if it carries the keyword, then its dependencies with the keyword, in the order of package.json.
 */
function driverDependencies(projectDirectory: string): string[] {
  const file = manifestOf(projectDirectory);
  const project = readPackageJson(file);
  const names = Object.keys({
    ...project.dependencies,
    ...project.devDependencies,
    ...project.optionalDependencies,
  });
  const requireFromProject = createRequire(file);
  const dependencies = names.filter((name) => {
    // Look the file up by path, because a package's `exports` may hide its package.json from require.
    const directories = requireFromProject.resolve.paths(name) ?? [];
    const manifest = directories.map((directory) => join(directory, name, "package.json")).find(existsSync);
    if (manifest === undefined) return false; // not installed, or a dependency of another platform
    return isDriver(readPackageJson(manifest));
  });
  return isDriver(project) ? [PROJECT_ITSELF, ...dependencies] : dependencies;
}

function manifestOf(projectDirectory: string): string {
  return join(resolve(projectDirectory), "package.json");
}

function isDriver({ keywords }: PackageJson): boolean {
  return Array.isArray(keywords) && keywords.includes(DRIVER_KEYWORD);
}

/** Nothing where there is no such file. */
function readPackageJson(file: string): PackageJson {
  if (!existsSync(file)) return {};
  try {
    return JSON.parse(readFileSync(file, "utf8")) as PackageJson;
  } catch (error) {
    throw new VfioError(`${file} is not valid JSON`, {
      code: "ERR_INVALID_CONFIG",
      operation: "find drivers",
      subject: file,
      remedy: "correct the file",
      cause: error,
    });
  }
}

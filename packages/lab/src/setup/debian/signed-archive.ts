import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { execute, type ExecuteOptions } from "../../host/execute";
import type { LabHost } from "../../host/host";
import type { DebianArchive } from "./debian-archive";
import { type DebianMirror, type DebianSuites, MIRROR_REMEDY } from "./debian-mirror";
import { DEBIAN_KEY_RING } from "./key-ring";

/** What the lists say of a package (deb-control(5)). */
interface Entry {
  readonly version: string;
  readonly depends: readonly string[];
  /** Below the mirror's address. */
  readonly path: string;
  readonly sha256: string;
}

/**
 * The archive for systems without apt: curl downloads, and gpgv checks the signature of `InRelease` by Debian's keys in this
 * package. That file has the digests of the package lists, and these have the packages'.
 *
 * It takes a list whose time (`Valid-Until`) is over: a kernel source of last month serves the lab as well.
 */
export class SignedArchive implements DebianArchive {
  readonly #host: LabHost;
  readonly #mirror: DebianMirror;
  readonly #suites: DebianSuites;
  /** Lists are kept here. */
  readonly #folder: string;
  readonly #options: Pick<ExecuteOptions, "signal" | "onLine">;
  readonly #lists = new Map<string, Promise<string>>();

  constructor(
    host: LabHost,
    mirror: DebianMirror,
    suites: DebianSuites,
    folder: string,
    options: Pick<ExecuteOptions, "signal" | "onLine">,
  ) {
    this.#host = host;
    this.#mirror = mirror;
    this.#suites = suites;
    this.#folder = folder;
    this.#options = options;
  }

  async newest(name: string): Promise<Entry | undefined> {
    return (await this.#versions(name))[0];
  }

  async download(name: string, version: string, folder: string): Promise<string> {
    const entry = (await this.#versions(name)).find((one) => one.version === version);
    if (entry === undefined) throw this.#refusal(`${name} ${version} is not in the archive`);
    const file = join(folder, basename(entry.path));
    await this.#fetchChecked(entry.path, entry.sha256, file);
    return file;
  }

  /** A package's versions of the first suite that has it, the newest first. Backports come before stable. */
  async #versions(name: string): Promise<Entry[]> {
    for (const suite of [this.#suites.backports, this.#suites.stable]) {
      this.#lists.set(suite, this.#lists.get(suite) ?? this.#readList(suite));
      const entries = parsePackages((await this.#lists.get(suite)) ?? "", name);
      if (entries.length > 0) return entries;
    }
    return [];
  }

  async #readList(suite: string): Promise<string> {
    mkdirSync(this.#folder, { recursive: true });
    const release = await this.#readRelease(suite);
    const list = "main/binary-amd64/Packages.xz";
    const sha256 = digestOf(release, list);
    if (sha256 === undefined) throw this.#refusal(`InRelease of ${suite} does not name ${list}`);
    // By its digest, a list stays there for a while after the archive has a newer one.
    const byHash = /^Acquire-By-Hash: yes$/m.test(release);
    const path = byHash ? `main/binary-amd64/by-hash/SHA256/${sha256}` : list;
    const file = join(this.#folder, `${suite}-Packages.xz`);
    await this.#fetchChecked(`dists/${suite}/${path}`, sha256, file);
    return execute(this.#host, ["xz", "--decompress", "--stdout", file], { ...this.#signal() });
  }

  /** The signed text of `InRelease`, and nothing else of the file. */
  async #readRelease(suite: string): Promise<string> {
    const signed = join(this.#folder, `${suite}-InRelease`);
    const text = join(this.#folder, `${suite}-Release`);
    for (const file of [signed, text]) rmSync(file, { force: true });
    await this.#fetch(`dists/${suite}/InRelease`, signed);
    const told: string[] = [];
    const verify = ["gpgv", "--status-fd", "1", "--keyring", DEBIAN_KEY_RING, "--output", text, signed];
    // gpgv fails, too, where one of several signatures is by a key that the ring lacks, so its status says too little.
    await execute(this.#host, verify, { ...this.#signal(), onLine: (line) => told.push(line) }).catch(() => undefined);
    this.#options.signal?.throwIfAborted();
    const isGood = told.some((line) => line.startsWith("[GNUPG:] GOODSIG "));
    const isBad = told.some((line) => /^\[GNUPG:\] (BADSIG|ERROR|NODATA)\b/.test(line));
    if (!isGood || isBad || !existsSync(text)) {
      const why = told.filter((line) => !line.startsWith("[GNUPG:]")).map((line) => `\n  | ${line}`);
      throw this.#refusal(`InRelease of ${suite} has no good signature of Debian's${why.join("")}`);
    }
    return readFileSync(text, "utf8");
  }

  /** Downloads what has this digest, unless it is there. An interrupted download goes on. */
  async #fetchChecked(path: string, sha256: string, file: string): Promise<void> {
    if (await hasDigest(file, sha256)) return;
    const partial = `${file}.${sha256.slice(0, 12)}.part`;
    if (!(await hasDigest(partial, sha256))) await this.#fetch(path, partial);
    if (!(await hasDigest(partial, sha256))) {
      rmSync(partial);
      throw this.#refusal(`${path} does not have the digest that Debian has signed`);
    }
    renameSync(partial, file);
  }

  async #fetch(path: string, file: string): Promise<void> {
    const address = `${this.#mirror.uri.replace(/\/+$/, "")}/${path}`;
    const command = ["curl", "--fail", "--silent", "--show-error", "--location", "--retry", "3", "--continue-at", "-"];
    try {
      await execute(this.#host, [...command, "--output", file, address], this.#options);
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      throw this.#refusal(`${address} cannot be fetched`, error);
    }
  }

  #signal(): Pick<ExecuteOptions, "signal"> {
    return { signal: this.#options.signal };
  }

  #refusal(message: string, cause?: unknown): VfioError {
    return new VfioError(cause instanceof Error ? `${message}\n${cause.message}` : message, {
      code: "ERR_LAB_NO_MIRROR",
      operation: "lab setup",
      subject: this.#mirror.uri,
      remedy: MIRROR_REMEDY,
      ...(cause === undefined ? {} : { cause }),
    });
  }
}

/** The versions of one package in a `Packages` file, the newest first. */
export function parsePackages(list: string, name: string): Entry[] {
  const entries: Entry[] = [];
  const start = `Package: ${name}\n`;
  for (let at = list.indexOf(start); at >= 0; at = list.indexOf(start, at + 1)) {
    if (at > 0 && list[at - 1] !== "\n") continue;
    const end = list.indexOf("\n\n", at);
    const stanza = list.slice(at, end < 0 ? undefined : end);
    const field = (key: string): string => new RegExp(`^${key}: (.*)$`, "m").exec(stanza)?.[1] ?? "";
    entries.push({
      version: field("Version"),
      depends: field("Depends")
        .split(/\s*[,|]\s*/)
        .map((one) => one.replace(/[\s:(].*/, "")),
      path: field("Filename"),
      sha256: field("SHA256"),
    });
  }
  return entries.sort((a, b) => b.version.localeCompare(a.version, "en", { numeric: true }));
}

/** The digest of a file in the part `SHA256` of a `Release` file. */
function digestOf(release: string, file: string): string | undefined {
  const part = /^SHA256:\n((?: .*\n?)*)/m.exec(release)?.[1] ?? "";
  const lines = part.split("\n").map((line) => line.trim().split(/\s+/));
  return lines.find(([, , name]) => name === file)?.[0];
}

async function hasDigest(file: string, sha256: string): Promise<boolean> {
  if (!existsSync(file)) return false;
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex") === sha256;
}

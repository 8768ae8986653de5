import { lstatSync, type Stats, unlinkSync } from "node:fs";
import { constants } from "node:os";
import { VfioError } from "@vfio-selftests/core";
import { systemError, systemResult } from "@vfio-selftests/core/errors";
import { native } from "@vfio-selftests/native";

const { ETIMEDOUT, EINTR, EAGAIN, ECONNREFUSED } = constants.errno;

/** sockaddr_un's path, without its terminating NUL. */
const MAX_PATH_BYTES = 107;

/** A Unix socket in the file system that clients connect to. */
export class ListeningSocket implements Disposable {
  /** The socket file's path. */
  readonly path: string;
  /** For a thread that accepts. This object keeps owning it. */
  readonly fd: number;
  #closed = false;
  #removed = false;

  /**
   * Binds and listens, after removing a socket file that nobody listens on any more. Errors (VfioError): EADDRINUSE
   * when another server listens there, EEXIST when something else has the path, ENAMETOOLONG, and bind(2)'s.
   */
  constructor(path: string) {
    const bytes = Buffer.byteLength(path);
    if (bytes === 0 || bytes > MAX_PATH_BYTES) {
      throw new VfioError(
        `the path of a Unix socket has 1 to ${MAX_PATH_BYTES} bytes; ${JSON.stringify(path)} has ${bytes}`,
        {
          code: "ENAMETOOLONG",
          operation: "listen",
          subject: path,
          remedy: "use a shorter path, for example under /run or /tmp",
        },
      );
    }
    removeStale(path);
    const fd = native.unixListen(path, 1);
    if (fd < 0) throw cannotListen(fd, path);
    this.fd = fd;
    this.path = path;
  }

  /** A client's socket; undefined if none comes within `timeoutMs`. */
  accept(timeoutMs: number): number | undefined {
    return acceptClient(this.fd, timeoutMs, this.path);
  }

  /** Removes the socket file, once, so that nobody can connect any more. */
  removeFile(): void {
    if (this.#removed) return;
    this.#removed = true;
    try {
      unlinkSync(this.path);
    } catch {
      // Somebody removed it already.
    }
  }

  /** Closes and removes the socket file. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    native.close(this.fd);
    this.removeFile();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A client of the listening socket `fd`; undefined if none comes within `timeoutMs`. */
export function acceptClient(fd: number, timeoutMs: number, subject = `descriptor ${fd}`): number | undefined {
  const client = native.unixAccept(fd, timeoutMs);
  if (client >= 0) return client;
  if (client === -ETIMEDOUT || client === -EINTR || client === -EAGAIN) return undefined;
  throw systemError(client, "accept", { subject });
}

function fileAt(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw cannotListen(systemResult(error), path);
  }
}

function cannotListen(result: number, path: string): VfioError {
  return systemError(result, "listen", {
    subject: path,
    remedy: "use a path in a folder that exists and that you may write to",
  });
}

function removeStale(path: string): void {
  const file = fileAt(path);
  if (file === undefined) return;
  if (!file.isSocket()) {
    throw new VfioError(`${path} exists and is no socket`, {
      code: "EEXIST",
      operation: "listen",
      subject: path,
      remedy: "remove the file, or use another path",
    });
  }
  const probe = native.unixConnect(path);
  if (probe === -ECONNREFUSED) {
    unlinkSync(path);
    return;
  }
  if (probe >= 0) native.close(probe);
  throw new VfioError(`another server listens on ${path}`, {
    code: "EADDRINUSE",
    operation: "listen",
    subject: path,
    remedy: "stop it, or use another path",
  });
}

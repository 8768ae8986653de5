import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { VfioError } from "@vfio-selftests/core/errors";
import { invalidJob } from "./job-definition";
import { QuotingError } from "./quoting-error";

export interface WebRequest {
  readonly method?: "GET" | "PATCH" | "PUT";
  readonly token?: string;
  /** Becomes JSON. */
  readonly body?: unknown;
  /** Milliseconds for the request and its whole answer. */
  readonly timeoutMs: number;
  /** The most bytes of the answer. */
  readonly most: number;
  /** Ends the request, which then rejects with the signal's reason. */
  readonly signal: AbortSignal;
}

/** A server that is away, refused, or answered too much. A later try may succeed where `passing`. */
export class WebError extends QuotingError {
  readonly passing: boolean;
  /** The HTTP status; undefined where no answer came. */
  readonly status: number | undefined;

  /** @param said the server's words, or why there are none. */
  constructor(
    what: string,
    said: string,
    { passing, status }: { readonly passing: boolean; readonly status?: number },
  ) {
    super(what, said === "" ? what : `${what}: ${said}`, {
      code: "ERR_KERNELCI_API",
      operation: "farm kernelci",
      ...(status === 401 || status === 403 ? { remedy: TOKEN_REMEDY } : {}),
    });
    this.passing = passing;
    this.status = status;
  }
}

const TOKEN_REMEDY =
  "put a token of KernelCI's API into KERNELCI_API_TOKEN; its user needs the group runtime:NAME:node-editor of this lab";

/** `instanceof` knows a VfioError alone, because that has a brand. */
export function isWebError(error: unknown): error is WebError {
  return error instanceof VfioError && "passing" in error;
}

/** The text of an answer. Throws {@link WebError}. */
export async function readText(url: URL, request: WebRequest): Promise<string> {
  const parts: Uint8Array[] = [];
  await receive(url, request, async (chunks) => {
    for await (const chunk of chunks) parts.push(chunk);
  });
  return Buffer.concat(parts).toString("utf8");
}

/** Saves an answer to a file. Throws {@link WebError}, and ERR_KERNELCI_JOB where the checksum is another. */
export async function saveFile(
  url: URL,
  file: string,
  request: WebRequest & { readonly sha256?: string },
): Promise<void> {
  const hash = createHash("sha256");
  await receive(url, request, async (chunks) => {
    const hashed = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks) {
        hash.update(chunk);
        yield chunk;
      }
    };
    await pipeline(hashed(), createWriteStream(file));
  });
  const sum = hash.digest("hex");
  if (request.sha256 !== undefined && sum !== request.sha256) {
    throw invalidJob(
      `the SHA-256 of ${url.href} is not ${request.sha256}`,
      `the SHA-256 of ${url.href} is ${sum}, and not ${request.sha256}`,
    );
  }
}

async function receive(
  url: URL,
  { method = "GET", token, body, timeoutMs, most, signal }: WebRequest,
  take: (chunks: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<void> {
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await fetch(url, {
      method,
      headers: {
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.any([signal, limit]),
    });
    const stream = Readable.fromWeb((answer.body ?? new Blob([]).stream()) as ReadableStream<Uint8Array>);
    if (!answer.ok) throw await refusal(url, method, answer.status, stream);
    await take(bounded(stream, most, url));
  } catch (error) {
    signal.throwIfAborted();
    // Not instanceof: an error of the file's, such as a full disk, has a code, too, but is not the web's.
    if (error instanceof VfioError || isOfFile(error)) throw error;
    const why = limit.aborted ? `no answer in ${timeoutMs / 1000} s` : reasonOf(error);
    throw new WebError(`${url.origin} is away`, why, { passing: true });
  }
}

/** What a server says about a refusal, in its own words as far as it has some. */
const LONGEST_WORDS = 300;

async function refusal(url: URL, method: string, status: number, stream: Readable): Promise<WebError> {
  let words = "";
  for await (const chunk of stream) {
    words += String(chunk);
    if (words.length > LONGEST_WORDS) break;
  }
  const said = words.slice(0, LONGEST_WORDS).trim();
  const passing = status >= 500 || status === 408 || status === 429;
  return new WebError(`${method} ${url.origin}${url.pathname} was answered with ${status}`, said, { passing, status });
}

async function* bounded(stream: AsyncIterable<Uint8Array>, most: number, url: URL): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > most) throw new WebError(`${url.href} is longer than ${most} bytes`, "", { passing: false });
    yield chunk;
  }
}

function isOfFile(error: unknown): boolean {
  return (
    typeof (error as NodeJS.ErrnoException).path === "string" || (error as NodeJS.ErrnoException).syscall === "write"
  );
}

/** fetch has the reason in the error's cause. */
function reasonOf(error: unknown): string {
  const { cause = error } = error as { readonly cause?: unknown };
  return cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : String(cause);
}

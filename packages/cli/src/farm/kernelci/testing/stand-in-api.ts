import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const TOKEN = "secret";

/** A node as the database holds it. */
export interface StandInNode {
  id: string;
  kind: string;
  name: string;
  path: string[];
  parent: string | null;
  state: string;
  result: string | null;
  artifacts: Record<string, string>;
  data: Record<string, unknown>;
  [field: string]: unknown;
}

interface StandInEvent {
  readonly timestamp: string;
  readonly data: { readonly id: string; readonly kind: string; readonly state: string };
}

/** How a request goes wrong: a status, no answer at all, or an answer that is lost after the work is done. */
export type Fault = { readonly status: number; readonly words?: string } | "hang up" | "lose answer";

/** Which states a node may go to (`validate_node_state_transition` of kernelci/api/models.py). */
const NEXT: Readonly<Record<string, readonly string[]>> = {
  running: ["available", "closing", "done"],
  available: ["closing", "done"],
  closing: ["done"],
  done: [],
};
const RESULTS = ["pass", "fail", "skip", "incomplete", null];
/** A part of `ErrorCodes`. */
const ERROR_CODES = ["invalid_job_params", "node_timeout", "Infrastructure", "Canceled", "Test", null];
/** Fields that PATCH takes (`NodePatchRequest` of kernelci-api's api/main.py). */
const PATCHED = ["state", "result", "artifacts", "data", "debug", "timeout", "holdoff"];

/**
 * KernelCI's API, as far as a lab meets it, on this machine. It checks what the real one checks: token, states, results, error
 * codes and required fields. It also serves the jobs' files.
 */
export class StandInApi implements AsyncDisposable {
  readonly nodes = new Map<string, StandInNode>();
  readonly files = new Map<string, string | Buffer>();
  /** Method and path of each request, in their order. */
  readonly requests: string[] = [];
  /** For requests whose method and path match. Each is used once. */
  readonly faults: { readonly request: RegExp; readonly fault: Fault }[] = [];
  /** Called before each request is served. */
  before: (request: string) => void = () => undefined;
  readonly #server: Server;
  readonly #events: StandInEvent[] = [];

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<StandInApi> {
    const api = new StandInApi();
    api.#server.listen(0, "127.0.0.1");
    await once(api.#server, "listening");
    return api;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What `--api` names. */
  get address(): string {
    return `${this.origin}/latest`;
  }

  /** Puts a file there, and returns its address. */
  file(name: string, content: string | Buffer): string {
    this.files.set(`/files/${name}`, content);
    return `${this.origin}/files/${name}`;
  }

  /** A job node that waits for a lab. */
  addJob(id: string, artifacts: Record<string, string>, data: Record<string, unknown>): StandInNode {
    const node: StandInNode = {
      id: id.padStart(24, "0"),
      kind: "job",
      name: "vfio-x86",
      path: ["checkout", "kbuild-gcc-14-x86", "vfio-x86"],
      group: "vfio-x86",
      parent: "f".repeat(24),
      treeid: "tree-1",
      submitter: "pipeline",
      state: "available",
      result: null,
      artifacts,
      data,
    };
    this.nodes.set(node.id, node);
    this.#publish(node);
    return node;
  }

  childrenOf({ id }: StandInNode): readonly StandInNode[] {
    return [...this.nodes.values()].filter(({ parent }) => parent === id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "", this.origin);
    const name = `${request.method} ${url.pathname}`;
    this.requests.push(name);
    this.before(name);
    const index = this.faults.findIndex((fault) => fault.request.test(name));
    const [{ fault } = { fault: undefined }] = index < 0 ? [] : this.faults.splice(index, 1);
    if (fault === "hang up") return void request.socket.destroy();
    let text = "";
    for await (const part of request) text += String(part);
    const answer =
      typeof fault === "object"
        ? { status: fault.status, body: fault.words ?? "planted" }
        : this.#answer(request, url, text);
    if (fault === "lose answer") return void request.socket.destroy();
    const isFile = typeof answer.body === "string" || Buffer.isBuffer(answer.body);
    response.writeHead(answer.status, { "Content-Type": isFile ? "text/plain" : "application/json" });
    response.end(isFile ? answer.body : JSON.stringify(answer.body));
  }

  #answer({ method, headers }: IncomingMessage, url: URL, text: string): { status: number; body: unknown } {
    const file = this.files.get(url.pathname);
    // A secret for the API is none for whoever keeps the files.
    if (url.pathname.startsWith("/files/") && headers.authorization !== undefined) return { status: 400, body: "leak" };
    if (file !== undefined) return { status: 200, body: file };
    const [, id = ""] = /^\/latest\/nodes?\/([0-9a-f]{24})$/.exec(url.pathname) ?? [];
    if (url.pathname === "/latest/events") return { status: 200, body: this.#eventsFor(url.searchParams) };
    const node = this.nodes.get(id);
    if (node === undefined) return problem(404, `Node not found with id: ${id}`);
    if (method === "GET") return { status: 200, body: node };
    if (headers.authorization !== `Bearer ${TOKEN}`) return problem(401, "Unauthorized to complete the operation");
    const body = JSON.parse(text) as Record<string, unknown>;
    return method === "PATCH" ? this.#patch(node, body) : this.#putHierarchy(node, body);
  }

  #eventsFor(query: URLSearchParams): unknown {
    const from = query.get("from") ?? "";
    const found = this.#events.filter(
      ({ timestamp, data }) => timestamp > from && data.kind === query.get("kind") && data.state === query.get("state"),
    );
    return found
      .slice(0, Number(query.get("limit")))
      .map((event) => ({ ...event, node: this.nodes.get(event.data.id) }));
  }

  #patch(node: StandInNode, body: Record<string, unknown>): { status: number; body: unknown } {
    const unknown = Object.keys(body).find((field) => !PATCHED.includes(field));
    if (unknown !== undefined) return problem(422, `unknown field ${unknown}`);
    const { state = node.state } = body as { state?: string };
    if (state !== node.state && NEXT[node.state]?.includes(state) !== true)
      return problem(400, "Transition not allowed");
    Object.assign(node, body);
    this.#publish(node);
    return { status: 200, body: node };
  }

  /** The real one checks no transition here, and replaces the whole node. */
  #putHierarchy({ id }: StandInNode, body: Record<string, unknown>): { status: number; body: unknown } {
    const { node, child_nodes: children } = body as {
      node: StandInNode;
      child_nodes: { node: StandInNode; child_nodes: unknown[] }[];
    };
    const wrong = [node, ...children.map((child) => child.node)].find((one) => !isNode(one));
    if (wrong !== undefined) return problem(422, JSON.stringify(wrong));
    this.nodes.set(id, { ...node, id });
    for (const child of children) {
      const own = (this.nodes.size + 1).toString(16).padStart(24, "c");
      this.nodes.set(own, { ...child.node, id: own, parent: id });
    }
    this.#publish(node);
    return { status: 200, body: [] };
  }

  #publish({ id, kind, state }: StandInNode): void {
    const time = new Date(Date.now() + this.#events.length).toISOString().replace("Z", "000");
    this.#events.push({ timestamp: time, data: { id, kind, state } });
  }
}

function isNode({ kind, name, path, state, result, data }: Partial<StandInNode>): boolean {
  return (
    (kind === "job" || kind === "test") &&
    typeof name === "string" &&
    Array.isArray(path) &&
    path.at(-1) === name &&
    state !== undefined &&
    state in NEXT &&
    RESULTS.includes(result ?? null) &&
    ERROR_CODES.includes((data?.["error_code"] as string | undefined) ?? null)
  );
}

function problem(status: number, detail: string): { status: number; body: unknown } {
  return { status, body: { detail } };
}

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { Readable, Writable } from "node:stream";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/** Milliseconds for one answer of the browser, its start included. */
const ANSWER_MS = 60_000;
const CLOSE_MS = 10_000;

/** The path of an installed Chromium; undefined where there is none. */
export function findChromium(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find((path) => existsSync(path));
}

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

export interface Screen {
  readonly width: number;
  readonly height: number;
  readonly dark: boolean;
}

/** A headless Chromium with one page, driven by the DevTools protocol on a pair of pipes. */
export class Browser implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #profile: string;
  readonly #closed: Promise<void>;
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  #loaded: (() => void) | undefined;
  #last = 0;
  #session: string | undefined;
  #buffer = "";

  private constructor(path: string) {
    this.#profile = mkdtempSync(join(tmpdir(), "chromium-"));
    const options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
    const pipes = ["--remote-debugging-pipe", `--user-data-dir=${this.#profile}`];
    this.#process = spawn(path, [...options, ...pipes], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    (this.#process.stdio[4] as Readable).setEncoding("utf8").on("data", (text: string) => this.#receive(text));
    this.#closed = new Promise((resolve) => this.#process.once("close", () => resolve()));
  }

  static async start(path: string): Promise<Browser> {
    const browser = new Browser(path);
    const { targetId } = await browser.#ask<{ targetId: string }>("Target.createTarget", { url: "about:blank" });
    const attached = await browser.#ask<{ sessionId: string }>("Target.attachToTarget", { targetId, flatten: true });
    browser.#session = attached.sessionId;
    await browser.#ask("Page.enable");
    return browser;
  }

  /** Shows a page on a screen of this size, and resolves when it is loaded. */
  async show(url: string, { width, height, dark }: Screen): Promise<void> {
    const mobile = { mobile: width < 500, deviceScaleFactor: 1 };
    await this.#ask("Emulation.setDeviceMetricsOverride", { width, height, ...mobile });
    const scheme = { name: "prefers-color-scheme", value: dark ? "dark" : "light" };
    await this.#ask("Emulation.setEmulatedMedia", { features: [scheme] });
    const loaded = new Promise<void>((resolve) => (this.#loaded = resolve));
    await this.#ask("Page.navigate", { url });
    await loaded;
  }

  /** The value of an expression in the page, whatever the page's own policy allows. */
  async evaluate<T>(expression: string): Promise<T> {
    const asked = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await this.#ask<{
      result: { value: T };
      exceptionDetails?: { exception?: { description?: string } };
    }>("Runtime.evaluate", asked);
    if (exceptionDetails === undefined) return result.value;
    throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? "failed"}`);
  }

  /** What the screen shows, as a PNG in base64. */
  async screenshot(): Promise<string> {
    return (await this.#ask<{ data: string }>("Page.captureScreenshot")).data;
  }

  /** Presses and lets go a key, as a person does. */
  async press(key: string): Promise<void> {
    const isText = key.length === 1;
    await this.#ask("Input.dispatchKeyEvent", { type: "keyDown", key, ...(isText && { text: key }) });
    await this.#ask("Input.dispatchKeyEvent", { type: "keyUp", key });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session = undefined;
    // In good order it ends its own processes. One that hangs is killed.
    this.#ask("Browser.close").catch(() => undefined);
    const hangs = setTimeout(() => this.#process.kill("SIGKILL"), CLOSE_MS);
    await this.#closed;
    clearTimeout(hangs);
    rmSync(this.#profile, { recursive: true, force: true });
  }

  async #ask<T>(method: string, params: object = {}): Promise<T> {
    const id = ++this.#last;
    const message = { id, method, params, ...(this.#session !== undefined && { sessionId: this.#session }) };
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        this.#waiting.set(id, { resolve: resolve, reject });
        timer = setTimeout(() => reject(new Error(`${method}: no answer in ${ANSWER_MS / 1000} s`)), ANSWER_MS);
        (this.#process.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Messages end with a NUL. */
  #receive(text: string): void {
    const parts = `${this.#buffer}${text}`.split("\0");
    this.#buffer = parts.pop() ?? "";
    for (const part of parts) {
      const { id, method, result, error } = JSON.parse(part) as Answer;
      if (method === "Page.loadEventFired") this.#loaded?.();
      const waiting = id === undefined ? undefined : this.#waiting.get(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(error.message));
    }
  }
}

import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readText, saveFile } from "./web";

let server: Server;
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "web-"));
});
afterEach(async () => {
  rmSync(folder, { recursive: true });
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

async function serve(listener: RequestListener): Promise<URL> {
  server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/x`);
}

const REQUEST = { timeoutMs: 5000, most: 100, signal: new AbortController().signal };

it("a server that does not answer, or not to the end, is away after the time", async () => {
  const url = await serve((request, response) => {
    if (request.method === "PUT") response.write("a part");
  });
  for (const method of ["GET", "PUT"] as const) {
    await expect(readText(url, { ...REQUEST, method, timeoutMs: 100 })).rejects.toMatchObject({
      code: "ERR_KERNELCI_API",
      passing: true,
      message: `${url.origin} is away: no answer in 0.1 s`,
    });
  }
});

it("an answer that is too long is not read to its end", async () => {
  const url = await serve((_, response) => response.end("x".repeat(101)));
  await expect(readText(url, REQUEST)).rejects.toMatchObject({
    message: `${url.href} is longer than 100 bytes`,
    passing: false,
  });
  const file = join(folder, "file");
  await expect(saveFile(url, file, REQUEST)).rejects.toThrow("is longer than 100 bytes");
  expect(await readText(url, { ...REQUEST, most: 101 })).toHaveLength(101);
});

it("a refusal has the server's own words, shortened", async () => {
  const url = await serve((_, response) => response.writeHead(422).end(`why ${"x".repeat(1000)}`));
  const error = await readText(url, { ...REQUEST, method: "PATCH" }).catch((reason: unknown) => reason as Error);
  expect(error).toMatchObject({ status: 422, passing: false });
  expect((error as Error).message).toMatch(/^PATCH http:.*\/x was answered with 422: why x{296}$/);
});

it("an abort ends a request at once, with the signal's reason", async () => {
  const stop = new AbortController();
  const url = await serve(() => stop.abort(new Error("stopped")));
  await expect(readText(url, { ...REQUEST, signal: stop.signal })).rejects.toThrow("stopped");
});

it("a file that cannot be written is no trouble of the web's", async () => {
  const url = await serve((_, response) => response.end("content"));
  const file = join(folder, "missing", "file");
  await expect(saveFile(url, file, REQUEST)).rejects.toMatchObject({ code: "ENOENT" });
  await expect(saveFile(url, "/dev/full", REQUEST)).rejects.toMatchObject({ code: "ENOSPC" });
  expect(existsSync(file)).toBe(false);
  await saveFile(url, join(folder, "file"), REQUEST);
  expect(readFileSync(join(folder, "file"), "utf8")).toBe("content");
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelWorker } from "./model-worker";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "load-model-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const REGION = `{ size: 4096, read: () => 0, write() {} }`;
const model = ({ regions = `[[0, ${REGION}]]`, irqs = "[]", more = "" } = {}) =>
  `{ name: "own", regions: new Map(${regions}), irqs: new Map(${irqs}), attach() {}, reset() {}, step: () => false, ${more} }`;

let files = 0;

/** Loads a module of this text in a thread. Returns why there is no model; undefined if there is one. */
async function failureOf(text: string, extension = "cjs"): Promise<string | undefined> {
  const module = join(directory, `model-${files++}.${extension}`);
  writeFileSync(module, text);
  const execArgv = ["-r", join(__dirname, "../../testing/register-typescript.cjs")];
  const worker = new ModelWorker({ module, execArgv });
  try {
    await worker.whenReady();
    return undefined;
  } catch (error) {
    return (error as Error).message.replaceAll(directory, "");
  } finally {
    await worker.close();
  }
}

test.each([
  ["a named export", `exports.createModel = () => (${model()});`, "cjs"],
  ["a function alone", `module.exports = () => (${model()});`, "cjs"],
  ["a promise", `exports.createModel = async () => (${model()});`, "cjs"],
  ["an ES module", `export const createModel = () => (${model()});`, "mjs"],
  ["an ES module's default", `export default () => (${model()});`, "mjs"],
  [
    "everything a model may have",
    `exports.createModel = () => (${model({
      regions: `[[0, { ...${REGION}, access: "read", read64: () => 0n, memory: { fd: 0, areas: [{ offset: 0, size: 4096 }] } }]]`,
      irqs: `[[2, { count: 2048, maskable: true, autoMasked: false, noResize: true }]]`,
      more: `clientGone() {}, close() {}`,
    })});`,
    "cjs",
  ],
])("a model from %s is served", async (_name, text, extension) => {
  expect(await failureOf(text, extension)).toBeUndefined();
});

test.each([
  ["exports no function createModel; it exports a, b", `exports.a = 1; exports.b = 2;`],
  ["it exports nothing", ``],
  ["Cannot find module", `require("./nowhere");`],
  ["of my own", `exports.createModel = () => { throw new Error("of my own"); };`],
  ["returns no DeviceModel: model is undefined; it must be an object", `exports.createModel = () => {};`],
  ['model.name is ""; it must be a text', `exports.createModel = () => ({ name: "" });`],
  ["model.regions is an array; it must be a Map", `exports.createModel = () => ({ ...${model()}, regions: [] });`],
  [
    "model.step is undefined; it must be a function",
    `exports.createModel = () => ({ ...${model()}, step: undefined });`,
  ],
  ["model.close is 1; it must be a function", `exports.createModel = () => ({ ...${model()}, close: 1 });`],
  [
    "model.regions.get(0).read is undefined; it must be a function",
    `exports.createModel = () => (${model({ regions: "[[0, { size: 1 }]]" })});`,
  ],
  [
    "model.regions.get(0).size is -1; it must be an integer",
    `exports.createModel = () => (${model({ regions: "[[0, { size: -1 }]]" })});`,
  ],
  [
    'model.regions has a key that is "bar0"; it must be an integer',
    `exports.createModel = () => (${model({ regions: `[["bar0", ${REGION}]]` })});`,
  ],
  [
    "model.regions.get(0).memory.areas[0].size is 1; it must be a multiple of 4096",
    `exports.createModel = () => (${model({
      regions: `[[0, { ...${REGION}, memory: { fd: 0, areas: [{ offset: 0, size: 1 }] } }]]`,
    })});`,
  ],
  ["model.irqs.get(2).count is 2049", `exports.createModel = () => (${model({ irqs: "[[2, { count: 2049 }]]" })});`],
])("the error tells what is wrong: %s", async (expected, text) => {
  expect(await failureOf(text)).toContain(expected);
});

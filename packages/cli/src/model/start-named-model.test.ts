import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Iommu } from "@vfio-selftests/core";
import { VfioUserMode } from "@vfio-selftests/vfio-user";
import { serveModels } from "../lab/served-models";
import { connectNamedModel } from "./start-named-model";

const OWN_MODEL = `
  const region = { size: 4096, read: (offset) => offset, write() {} };
  export const createModel = () => ({
    name: "own", regions: new Map([[0, region]]), irqs: new Map(),
    attach() {}, reset() {}, step: () => false,
  });`;

// A thread starts for each model.
jest.setTimeout(30_000);

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "own-model-"));
  writeFileSync(join(directory, "own.mjs"), OWN_MODEL);
});
afterEach(() => rmSync(directory, { recursive: true }));

function readRegister(address: string): number {
  using iommu = new Iommu(new VfioUserMode({ connectModel: (name) => connectNamedModel(name, directory) }).open());
  const into = new Uint8Array(1);
  iommu.openDevice(address).readRegion(0, 0x42, into);
  return into[0] ?? -1;
}

test("a run takes a model of one's own as model:PATH", () => {
  expect(readRegister("model:./own.mjs")).toBe(0x42);
  expect(() => readRegister("model:./gone.mjs")).toThrow(/model is ".\/gone.mjs"; allowed: ioat, dsa, the path/);
});

test("the lab serves models of one's own, as often as it is told", async () => {
  const models = await serveModels(["igb", "model:./own.mjs*2"], directory);
  try {
    const [igb, ...sockets] = models.devices;
    expect(igb).toBe("igb");
    expect(sockets).toHaveLength(2);
    for (const address of sockets) expect(readRegister(address)).toBe(0x42);
  } finally {
    await models.close();
  }
  await expect(serveModels(["model:./gone.mjs"], directory)).rejects.toThrow("allowed: ioat, dsa, the path");
});

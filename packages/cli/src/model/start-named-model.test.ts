import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VfioUserMode } from "@vfio-selftests/vfio-user";
import { serveModels } from "../lab/served-models";
import { connectNamedModel } from "./start-named-model";
import { readRegister, writeOwnModel } from "./testing/own-model";

// A thread starts for each model.
jest.setTimeout(30_000);

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "own-model-"));
  writeOwnModel(directory);
});
afterEach(() => rmSync(directory, { recursive: true }));

function ownRegister(address: string): number {
  const mode = new VfioUserMode({ connectModel: (name) => connectNamedModel(name, directory) });
  return readRegister(mode, address);
}

test("a run takes a model of one's own as model:PATH", () => {
  expect(ownRegister("model:./own.mjs")).toBe(0x42);
  expect(() => ownRegister("model:./gone.mjs")).toThrow(
    /model is ".\/gone.mjs"; allowed: ioat, dsa, nv-falcon, .*, the path/,
  );
});

test("the lab serves models of one's own, as often as it is told", async () => {
  const models = await serveModels(["igb", "model:./own.mjs*2"], directory);
  try {
    const [igb, ...sockets] = models.devices;
    expect(igb).toBe("igb");
    expect(sockets).toHaveLength(2);
    for (const address of sockets) expect(ownRegister(address)).toBe(0x42);
  } finally {
    await models.close();
  }
  await expect(serveModels(["model:./gone.mjs"], directory)).rejects.toThrow(
    /allowed: ioat, dsa, nv-falcon, .*, the path/,
  );
});

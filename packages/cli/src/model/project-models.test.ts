import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { asRoot } from "@vfio-selftests/core/testing";
import { findModelModule } from "./find-model-module";
import { projectModels } from "./project-models";

const KEYWORDS = ["vfio-selftests-driver"];
const EXPORTS = { ".": "./main.js", "./model": "./model.js" };

let project: string;
beforeEach(() => (project = mkdtempSync(join(tmpdir(), "project-models-"))));
afterEach(() => rmSync(project, { recursive: true }));

function write(path: string, content: object | string): void {
  const file = join(project, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
}

function install(name: string, manifest: object): void {
  write(`node_modules/${name}/package.json`, { name, ...manifest });
  for (const file of ["main.js", "model.js"]) write(`node_modules/${name}/${file}`, "throw new Error('loaded');");
}

test("are those that the project's driver packages export, the project first; none is loaded", () => {
  write("package.json", {
    name: "@acme/self",
    keywords: KEYWORDS,
    exports: EXPORTS,
    dependencies: { "@acme/one": "1", "no-model": "1", "no-driver": "1", gone: "1" },
  });
  write("model.js", "");
  install("@acme/one", { keywords: KEYWORDS, exports: EXPORTS });
  install("no-model", { keywords: KEYWORDS, exports: "./main.js" });
  install("no-driver", { exports: EXPORTS });
  expect(projectModels(project)).toEqual({ names: ["@acme/self", "@acme/one"], refused: [] });
  expect(findModelModule("@acme/self", project, [])).toBe(join(project, "model.js"));
  expect(findModelModule("@acme/one", project, [])).toBe(join(project, "node_modules/@acme/one/model.js"));
  // A package of a model alone has it as its main module.
  expect(findModelModule("no-model", project, [])).toBe(join(project, "node_modules/no-model/main.js"));
});

test("are none in a folder without package.json, or with one that is not built", () => {
  expect(projectModels(project)).toEqual({ names: [], refused: [] });
  write("package.json", { name: "self", keywords: KEYWORDS, exports: EXPORTS });
  expect(projectModels(project)).toEqual({ names: [], refused: [] });
});

asRoot(test)("of another user's project are none of root's", () => {
  write("package.json", { name: "self", keywords: KEYWORDS, exports: EXPORTS });
  write("model.js", "");
  chownSync(project, 12_345, 12_345);
  expect(projectModels(project, { uid: 0 })).toEqual({
    names: [],
    refused: [
      `the model of self is not loaded as root: ${project} belongs to user 12345. To load it all the same: -d model:self`,
    ],
  });
  expect(projectModels(project, { uid: 0, sudoUid: 12_345 }).names).toEqual(["self"]);
});

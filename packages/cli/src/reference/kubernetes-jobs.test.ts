import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Job } from "kubernetes-types/batch/v1";
import {
  createCompilerHost,
  createProgram,
  createSourceFile,
  flattenDiagnosticMessageText,
  ModuleKind,
  ModuleResolutionKind,
  ScriptTarget,
} from "typescript";
import { parse } from "yaml";

const FOLDER = join(__dirname, "../../../../examples/farms/kubernetes");
const FILES = readdirSync(FOLDER);

/** What the types that are made of the Kubernetes API's own schemas (`kubernetes-types`) say against a Job. */
function problems(job: unknown): readonly string[] {
  const path = join(__dirname, "job.ts");
  const text = `import type { Job } from "kubernetes-types/batch/v1";\nexport const job: Job = ${JSON.stringify(job)};\n`;
  const options = {
    strict: true,
    skipLibCheck: true,
    types: [],
    lib: ["lib.es5.d.ts"],
    module: ModuleKind.Node16,
    moduleResolution: ModuleResolutionKind.Node16,
  };
  const host = createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => name === path || fileExists.call(host, name);
  host.getSourceFile = (name, ...rest) =>
    name === path ? createSourceFile(name, text, ScriptTarget.ES2022) : getSourceFile.call(host, name, ...rest);
  const program = createProgram([path], options, host);
  const diagnostics = program.getSemanticDiagnostics(program.getSourceFile(path));
  return diagnostics.map(({ messageText }) => flattenDiagnosticMessageText(messageText, "\n"));
}

function read(name: string): Job {
  return parse(readFileSync(join(FOLDER, name), "utf8")) as Job;
}

it.each(FILES)("%s keeps to the schema of the Kubernetes API", (name) => {
  expect(problems(read(name))).toEqual([]);
});

it("a field that the API does not have, or a wrong value, would be found", () => {
  const job = read("lab.yaml");
  const { spec } = job;
  expect(problems({ ...job, spec: { ...spec, completion: 8 } })).toContainEqual(
    expect.stringContaining("does not exist in type 'JobSpec'"),
  );
  expect(problems({ ...job, spec: { ...spec, completions: "8" } })).toContainEqual(
    expect.stringContaining("'string' is not assignable"),
  );
});

it("devices.yaml reads the variable that the device plugin names after the resource", () => {
  const text = readFileSync(join(FOLDER, "devices.yaml"), "utf8");
  const [, resource = ""] = /limits: \{ ([\w./-]+): "1",/.exec(text) ?? [];
  // The SR-IOV network device plugin: PCIDEVICE_ and the resource's name, in capitals, with _ for other signs.
  expect(text).toContain(`"$PCIDEVICE_${resource.toUpperCase().replace(/[^A-Z0-9]/g, "_")}"`);
  expect(resource).not.toBe("");
});

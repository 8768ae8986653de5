import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { notInLab } from "../not-in-lab";
import { type CommandResult, PROGRAM, runProgram } from "./run-command";

const ROOT = join(__dirname, "../../../..");
/** Two compilers and all suites, on a busy machine. */
const TIMEOUT_MS = 300_000;
jest.setTimeout(2 * TIMEOUT_MS);

/** Puts the packages that `npm install` would fetch into a folder, as links: no test uses the network. */
function installLinks(project: string): void {
  const modules = join(project, "node_modules");
  mkdirSync(modules);
  symlinkSync(join(ROOT, "packages/tests/node_modules/@vfio-selftests"), join(modules, "@vfio-selftests"));
  // `tsc` in `.bin` looks for the compiler under the name that it has here.
  for (const name of ["jest", "@typescript", "@types", ".bin"]) {
    symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
  }
}

/** Runs a program in the project's folder, as its developer does. */
function runIn(project: string, program: string, ...args: string[]): CommandResult {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(?:VFIO_SELFTESTS_|npm_|NODE_OPTIONS)/i.test(name),
  );
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd: project,
    encoding: "utf8",
    timeout: TIMEOUT_MS,
    env: { ...Object.fromEntries(inherited), npm_config_update_notifier: "false" },
  });
  return { code: status, out: stdout, err: stderr };
}

const run = (project: string, ...args: string[]) => runIn(project, process.execPath, PROGRAM, "run", ...args);

/** How many tests passed and failed, by the last line of the report. */
function totals({ out, err }: CommandResult): { passed: number; failed: number } {
  const [, passed, failed] = /^(\d+) passed, (\d+) failed/m.exec(out) ?? [];
  if (passed === undefined) throw new Error(`no totals in\n${out}\n${err}`);
  return { passed: Number(passed), failed: Number(failed) };
}

describe.each([
  { format: "commonjs", options: [], name: "widget", consumer: "consumer.cts" },
  {
    format: "esm",
    options: ["--esm", "--name", "@acme/widget"],
    name: "@acme/widget",
    consumer: "consumer.mts",
  },
])("created_driver_$format", ({ options, name, consumer }) => {
  notInLab();
  const folder = mkdtempSync(join(tmpdir(), "created-driver-"));
  const project = join(folder, "widget");
  afterAll(() => rmSync(folder, { recursive: true }));

  it("passes_its_own_type_check_and_tests_as_it_is", () => {
    expect(runProgram(PROGRAM, ["create", "driver", project, ...options])).toMatchObject({ code: 0, err: "" });
    installLinks(project);
    const result = runIn(project, "npm", "test");
    const { passed, failed } = totals(result);
    expect({ code: result.code, failed }).toEqual({ code: 0, failed: 0 });
    expect(passed).toBeGreaterThan(30);
    expect(result.out).toContain("ok   vfio_driver_contract.vfio-user.random_copies");
    expect(result.out).toContain("ok   widget_registers.vfio-user.fault_address_is_reported");
  });

  it("is_found_by_the_command_driver_and_model", () => {
    const result = run(project, "-t", "vfio_driver_contract|vfio_pci_driver_test");
    expect(result.out).toContain(`Device models in user space (model:${name})`);
    expect(result.err).toContain(`driver widget is ${project}'s`);
    expect(totals(result)).toEqual({ passed: 18, failed: 0 });
    expect(result.out).toContain("\n18 passed, 0 failed, 0 skipped");
    expect(result.code).toBe(0);
  });

  it("is_found_in_a_project_that_depends_on_it_with_its_types", () => {
    const other = join(folder, "project");
    mkdirSync(other);
    installLinks(other);
    mkdirSync(join(other, "node_modules", dirname(name)), { recursive: true });
    symlinkSync(project, join(other, "node_modules", name));
    writeFileSync(join(other, "package.json"), JSON.stringify({ private: true, devDependencies: { [name]: "*" } }));
    const result = run(other, "-r", "vfio_pci_driver_test.vfio-user.memcpy_success");
    expect(result.err).toContain(`driver widget is ${name}'s`);
    expect(totals(result)).toEqual({ passed: 1, failed: 0 });

    const used = `import { driver } from "${name}";\nimport { createModel } from "${name}/model";\n`;
    writeFileSync(join(other, consumer), `${used}export const names: string[] = [driver.name, createModel().name];\n`);
    const strict = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--types", "node"];
    const types = runIn(other, "node_modules/.bin/tsc", ...strict, "--module", "node20", consumer);
    expect(types).toEqual({ code: 0, out: "", err: types.err });
  });

  it("fails_when_the_device_copies_wrongly", () => {
    const file = join(project, "src/model.ts");
    const right = readFileSync(file, "utf8");
    const copied = "copy.done += bytes.length;";
    expect(right).toContain(copied);
    writeFileSync(file, right.replace(copied, `copy.done += bytes.length + (copy.size > 1000 ? 1 : 0);`));
    const result = runIn(project, "npm", "test", "--", "-t", "memcpy_success");
    expect(result.code).not.toBe(0);
    expect(result.out).toContain("FAIL vfio_pci_driver_test.vfio-user.memcpy_success");
  });

  it("whose_types_are_wrong_fails_its_type_check", () => {
    writeFileSync(
      join(project, "src/index.ts"),
      'export { driver } from "./driver.js";\nexport const size: number = "1";\n',
    );
    const { code, out } = runIn(project, "npm", "test");
    expect(code).not.toBe(0);
    expect(out).toMatch(/src\/index\.ts.*TS2322/);
  });
});

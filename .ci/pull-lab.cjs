// A KernelCI lab on this machine: `farm kernelci` takes three jobs of a stand-in of KernelCI's API (that of its unit tests), and
// boots real kernels in the lab: one on which tests run, one that only boots, and one that cannot. Checks the nodes that the API
// then has. Arguments: how to call vfio-selftests.
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const { mkdtempSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { isDeepStrictEqual } = require("node:util");
const typescript = require("typescript");

const STAND_IN = join(__dirname, "../packages/cli/src/farm/kernelci/testing/stand-in-api.ts");
const TEST = "vfio_cdev.bind_bad_iommufd_fails";
const EXPECTED = {
  suites: { result: "pass", tests: { boot: "pass", [`vfio_selftests.${TEST}`]: "pass" } },
  boots: { result: "pass", tests: { boot: "pass" } },
  "does not boot": { result: "fail", tests: { boot: "fail" } },
};

/** The stand-in, which is compiled for tests only. */
function loadStandIn(folder) {
  const { ModuleKind, ScriptTarget } = typescript;
  const options = { compilerOptions: { module: ModuleKind.CommonJS, target: ScriptTarget.ES2022 } };
  const file = join(folder, "stand-in-api.cjs");
  writeFileSync(file, typescript.transpileModule(readFileSync(STAND_IN, "utf8"), options).outputText);
  return require(file);
}

async function main([program, ...words]) {
  const folder = mkdtempSync(join(tmpdir(), "pull-lab-"));
  const { StandInApi, TOKEN } = loadStandIn(folder);
  const api = await StandInApi.start();
  try {
    const { labCache, readLabState, thisHost } = require("../packages/lab/dist/index.js");
    const image = readFileSync(readLabState(labCache(thisHost())).kernel);
    // It looks like a kernel, and its code is nothing.
    const broken = Buffer.from(image).fill(0, 0x4000);
    const add = (id, name, kernel, test) => {
      const tests = [{ id: name, depends: [], timeout_s: 600, "pre-commands": [], "post-commands": [], ...test }];
      const artifacts = { kernel: api.file(`${id}/bzImage`, kernel) };
      const definition = { artifacts, tests, environment: { platform: "qemu-x86_64", arch: "x86_64" } };
      const url = api.file(`${id}.json`, JSON.stringify(definition));
      return { name, id: api.addJob(id, { job_definition: url }, { runtime: "our-lab", platform: "qemu-x86_64" }).id };
    };
    const jobs = [
      add("1", "suites", image, { type: "vfio-selftests", subset: [TEST] }),
      add("2", "boots", image, { type: "boot" }),
      add("3", "does not boot", broken, { type: "boot" }),
    ];
    const address = ["--api", api.address, "--runtime", "our-lab", "--output", join(folder, "jobs")];
    const args = [
      ...words,
      "farm",
      "kernelci",
      ...address,
      "--once",
      "--jobs",
      "1",
      "-d",
      "edu",
      "--boot-timeout",
      "180",
    ];
    const child = spawn(program, args, { stdio: "inherit", env: { ...process.env, KERNELCI_API_TOKEN: TOKEN } });
    const [code] = await once(child, "exit");
    const problems = code === 0 ? [] : [`the poller ended with ${code}`];
    for (const { id, name } of jobs) {
      const node = api.nodes.get(id);
      const tests = Object.fromEntries(api.childrenOf(node).map((child) => [child.name, child.result]));
      const got = { result: node.result, tests };
      if (!isDeepStrictEqual(got, EXPECTED[name])) problems.push(`${name}: ${JSON.stringify(got)}`);
    }
    return problems;
  } finally {
    await api[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  }
}

void main(process.argv.slice(2)).then((problems) => {
  for (const problem of problems) console.log(`not as expected: ${problem}`);
  process.exitCode = problems.length === 0 ? 0 : 1;
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { notInLab } from "../not-in-lab";
import { runCommand } from "./run-command";

const TEST = "vfio_pci_driver_test.vfio-user.init_remove";

describe("named_driver", () => {
  // The folder comes first: where the lab skips a test, Jest still runs the hook that removes the folder.
  let project: string;
  beforeEach(() => (project = mkdtempSync(join(tmpdir(), "named-driver-"))));
  afterEach(() => rmSync(project, { recursive: true }));
  notInLab();

  it("is_loaded_once_and_the_environment_stays_as_it_was", () => {
    const driver = join(project, "driver.cjs");
    const log = join(project, "log");
    writeFileSync(
      driver,
      `require("node:fs").appendFileSync(${JSON.stringify(log)}, JSON.stringify(
        Object.keys(process.env).filter((name) => name.startsWith("VFIO_SELFTESTS_"))) + "\\n");
      exports.driver = {
        name: "mine", ids: [{ vendor: 0x8086, device: 0x2021 }], regionSize: 4096,
        create: () => ({
          limits: { maxMemcpySize: 4096, minMemcpySize: 1, maxMemcpyCount: 1, alignment: 1 },
          memcpyStart() {}, memcpyEnded: () => true, memcpyWait() {}, remove() {},
        }),
      };`,
    );
    const { code, out } = runCommand(["run", "-d", "model:ioat", "--driver", driver, "-r", TEST]);
    expect(out).toContain(`ok   ${TEST}`);
    expect(code).toBe(0);
    expect(readFileSync(log, "utf8")).toBe("[]\n");
  });

  it("that_does_not_load_is_told_with_the_remedy", () => {
    const driver = join(project, "driver.cjs");
    writeFileSync(driver, "throw new Error('no such hardware');");
    const { code, out } = runCommand(["run", "-d", "model:ioat", "--driver", driver, "-r", TEST]);
    expect(out).toMatch(/driver .*driver\.cjs cannot be loaded: no such hardware\n.*Remedy: correct the driver/);
    expect(out).not.toMatch(/\n\s+at .*:\d+:\d+/);
    expect(code).toBe(1);
  });

  it("of_the_project_that_does_not_load_leaves_the_list_whole", () => {
    writeFileSync(join(project, "broken.cjs"), "throw new Error('no such hardware');");
    writeFileSync(join(project, "vfio-selftests.config.json"), '{ "drivers": ["./broken.cjs"] }');
    const whole = runCommand(["list", "--json"]);
    const { code, out, err } = runCommand(["list", "--json"], {}, { cwd: project });
    expect(err).toMatch(/driver .*broken\.cjs cannot be loaded: no such hardware\n.*Remedy: .*broken\.cjs:1/);
    expect({ code, listed: JSON.parse(out) as unknown }).toEqual({ code: 0, listed: JSON.parse(whole.out) as unknown });
  });
});

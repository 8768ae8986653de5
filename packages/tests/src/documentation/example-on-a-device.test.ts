import { readFileSync } from "node:fs";
import { join } from "node:path";
import { transformSync } from "@swc/core";
import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { defaultMode, fixture, requireMode } from "@vfio-selftests/harness";

const target = kernelTarget();
const README = readFileSync(join(__dirname, "../../../../README.md"), "utf8");
const DOCUMENTED_ADDRESS = "0000:6a:01.0";

fixture("documented_example", target, (address) => {
  requireMode(defaultMode(target));

  it("of_the_first_page_prints_what_it_read", () => {
    const [, code = ""] = /^```ts\n(.*?)^```/ms.exec(README) ?? [];
    expect(code).toContain(DOCUMENTED_ADDRESS);
    const { code: script } = transformSync(code.replaceAll(DOCUMENTED_ADDRESS, address), {
      jsc: { parser: { syntax: "typescript" }, target: "es2022" },
      module: { type: "commonjs" },
    });
    const printed: unknown[][] = [];
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- the code is our own README's
    const run = new Function("require", "exports", "console", script) as (...context: unknown[]) => void;
    run(require, {}, { log: (...values: unknown[]) => printed.push(values) });
    const vendor = Number(readFileSync(`/sys/bus/pci/devices/${address}/vendor`, "utf8"));
    expect(printed).toEqual([[vendor, expect.any(Number), expect.any(BigInt)]]);
  });
});

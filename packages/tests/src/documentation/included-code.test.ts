import { spawnSync } from "node:child_process";
import { join } from "node:path";

const ROOT = join(__dirname, "../../../..");

it("the code in docs/guides is that of the files it comes from; `pnpm guide-code` writes it", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, "scripts/include-code.cjs"), "--check"], {
    encoding: "utf8",
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(Number.parseInt(stdout)).toBeGreaterThan(5);
});

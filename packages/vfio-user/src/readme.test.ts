import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

test("the example in the README does what its comments say", () => {
  const readme = readFileSync(join(__dirname, "../README.md"), "utf8");
  const files = [...readme.matchAll(/```js\n\/\/ (\S+)\n([^]*?)```/g)];
  expect(files.map(([, name]) => name)).toEqual(["adder.js", "main.js"]);
  const directory = mkdtempSync(join(tmpdir(), "vfio-user-readme-"));
  try {
    for (const [, name = "", code = ""] of files) {
      const local = code
        .replaceAll('"@vfio-selftests/vfio-user"', JSON.stringify(join(__dirname, "index.ts")))
        .replaceAll('"@vfio-selftests/core"', JSON.stringify(require.resolve("@vfio-selftests/core")));
      // The thread loads this package's source, too.
      const register = JSON.stringify(join(__dirname, "testing/register-typescript.cjs"));
      writeFileSync(join(directory, name), `require(${register});\n${local}`);
    }
    const arguments_ = ["-r", join(__dirname, "testing/register-typescript.cjs"), join(directory, "main.js")];
    expect(execFileSync(process.execPath, arguments_, { encoding: "utf8", timeout: 30_000 })).toBe("42 2n\n");
  } finally {
    rmSync(directory, { recursive: true });
  }
}, 60_000);

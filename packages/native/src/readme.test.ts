import { readFileSync } from "node:fs";
import { join } from "node:path";
import { builtPackage, runNode } from "./testing/node-process";

it("the example in the README does what its comments say", () => {
  const readme = readFileSync(join(builtPackage, "README.md"), "utf8");
  const example = /```js\n([^]*?)```/.exec(readme)?.[1] ?? "";
  const exit = runNode(example.replace('"@vfio-selftests/native"', JSON.stringify(builtPackage)));
  expect(exit).toEqual({ status: 0, signal: null, stderr: "", stdout: "true\n-22\n-14\ntrue\n" });
});

import { patchedIdxd } from "./idxd-patch";

const INIT = "if (!cpu_feature_enabled(X86_FEATURE_MOVDIR64B)) {\n\treturn -ENODEV;\n}\n";
const user = (call: string): string => `#include "idxd.h"\nvoid f(void) { ${call}; }\n`;
const IDXD = new Map([
  ["init.c", INIT],
  ["submit.c", user("iosubmit_cmds512(portal, desc->hw, 1)")],
  ["irq.c", user("iosubmit_cmds512(portal, &desc, 1)")],
  ["dma.c", user("g()")],
]);

test("every descriptor goes through one function, which a CPU of any kind has", () => {
  const patched = patchedIdxd(IDXD);
  expect([...patched.keys()].sort()).toEqual(["init.c", "irq.c", "submit.c"]);
  expect(patched.get("init.c")).not.toContain("MOVDIR64B");
  expect(patched.get("irq.c")).toContain("idxd_portal_write(portal, &desc, 1)");
  const texts = [...patched.values()].join("\n");
  expect(texts.match(/iosubmit_cmds512\(/g)).toHaveLength(1);
  expect(texts.match(/^void idxd_portal_write\(.*\)\n\{/gm)).toHaveLength(1);
  expect(texts.match(/^void idxd_portal_write\(.*\);/gm)).toHaveLength(2);
});

test.each([
  ["no check at load", new Map([...IDXD, ["init.c", "return 0;\n"]])],
  ["another place that submits", new Map([...IDXD, ["submit.c", user("g()")]])],
  ["a user that does not include idxd.h", new Map([...IDXD, ["irq.c", "iosubmit_cmds512(portal, &desc, 1);"]])],
])("an idxd with %s stays as it is", (_what, files) => {
  expect(patchedIdxd(files).size).toBe(0);
});

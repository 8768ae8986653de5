import { basename, dirname } from "node:path";
import { mutantsFolder, resultsFolder } from "./mutant-kernel";

it("keeps apart the results of kernels that hold the same mutants", () => {
  const folders = ["plain", "kasan", "kasan-lockdep"].map((variant) => resultsFolder({ key: "abc", variant }));
  expect(folders.map((folder) => basename(folder))).toEqual(["abc", "abc-kasan", "abc-kasan-lockdep"]);
  expect(new Set(folders.map((folder) => dirname(folder)))).toEqual(new Set([mutantsFolder()]));
});

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseKernelConfig } from "./kernel-config";
import { extendFragment, labKernelFragment, makeKernelFragment, publishedFragment } from "./kernel-fragment";
import { chosenRecipe } from "./kernel-recipe";
import { KERNEL_VARIANTS, kernelVariants, variantFragment } from "./kernel-variants";

const FOLDER = join(__dirname, "../../../kernel/with");

test("each fragment in the folder is a variant's, and each variant has one", () => {
  expect(readdirSync(FOLDER).sort()).toEqual(KERNEL_VARIANTS.map(({ fragment }) => fragment).sort());
});

test("names in any order, and twice, make the same kernel; an unknown one is told with those that there are", () => {
  const names = (given: string[]): string[] => kernelVariants(given).map(({ name }) => name);
  expect(names(["lockdep", "kasan", "lockdep"])).toEqual(["kasan", "lockdep"]);
  expect(() => kernelVariants(["kasan", "kazan"])).toThrow(/"kazan"; allowed: kasan, ubsan, /);
});

test("a variant's options win over the lab's, and no option is named twice", () => {
  const base = makeKernelFragment("CONFIG_VFIO=y\n", "CONFIG_SLUB_TINY=y\nCONFIG_KVM=y\n");
  const fragment = extendFragment(base, kernelVariants(["kasan", "kmemleak"]), []);
  expect(fragment.required).toEqual([
    { name: "CONFIG_VFIO", value: "y" },
    { name: "CONFIG_KASAN", value: "y" },
    { name: "CONFIG_DEBUG_KMEMLEAK", value: "y" },
  ]);
  expect(fragment.wanted).toContainEqual({ name: "CONFIG_SLUB_TINY", value: "n" });
  const names = [...fragment.required, ...fragment.wanted].map(({ name }) => name);
  expect(names).toEqual([...new Set(names)]);
});

test("the key tells variants, make's variables and sources apart", () => {
  const base = labKernelFragment();
  const keys = [
    base.key,
    extendFragment(base, [], ["source=/a"]).key,
    extendFragment(base, [], ["source=/b"]).key,
    extendFragment(base, kernelVariants(["gcov"]), ["source=/a"]).key,
    extendFragment(base, [{ ...kernelVariants(["gcov"])[0]!, makeVariables: [] }], ["source=/a"]).key,
    extendFragment(base, kernelVariants(["kasan"]), ["source=/a"]).key,
  ];
  expect(new Set(keys).size).toBe(keys.length);
});

test("a recipe has what make needs for its variants", () => {
  const recipe = chosenRecipe({ variants: ["debug-info", "gcov"] }, { tree: "/linux", version: "7.3.4" });
  expect(recipe.makeTargets).toEqual(["scripts_gdb"]);
  expect(recipe.makeVariables).toEqual([expect.stringMatching(/^GCOV_PROFILE=/)]);
});

test("the published fragment has every option, the last one of a name as the lab's own build has it", () => {
  const variants = kernelVariants(KERNEL_VARIANTS.map(({ name }) => name));
  const published = new Map(parseKernelConfig(publishedFragment(variants)).map(({ name, value }) => [name, value]));
  const { wanted, required } = extendFragment(labKernelFragment(), variants, []);
  for (const { name, value } of [...wanted, ...required]) {
    // A choice's option stands for CONFIG_DEBUG_INFO.
    if (name !== "CONFIG_DEBUG_INFO") expect([name, published.get(name)]).toEqual([name, value]);
  }
  expect(publishedFragment(variants)).toContain("GCOV_PROFILE=$(if");
  expect(publishedFragment(variants)).toContain("# For debug-info, make needs on its command line: 'scripts_gdb'\n");
});

test.each(KERNEL_VARIANTS.map((variant) => [variant.name, variant] as const))(
  "%s turns its own option on and asks for no module",
  (name, variant) => {
    const options = parseKernelConfig(variantFragment(variant));
    if (name !== "debug-info") expect(options).toContainEqual({ name: variant.option, value: "y" });
    expect(options.filter(({ value }) => value === "m")).toEqual([]);
  },
);

test("docs/finding-bugs.md tells of each variant, in the table's order", () => {
  const page = readFileSync(join(__dirname, "../../../../../docs/finding-bugs.md"), "utf8");
  const names = [...page.matchAll(/^\| `([\w-]+)` +\|/gm)].map(([, name]) => name);
  expect(names.filter((name) => name !== "--with")).toEqual(KERNEL_VARIANTS.map(({ name }) => name));
});

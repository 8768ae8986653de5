import fc from "fast-check";
import { wrapText } from "./wrap-text";

it("indents what follows by the heading's width", () => {
  expect(wrapText("  remedy: ", Array(20).fill("words").join(" "))).toEqual([
    "  remedy: words words words words words words words words words words words",
    "          words words words words words words words words words",
  ]);
});

it("keeps a long word whole", () => {
  const path = `/${"x".repeat(90)}`;
  expect(wrapText("- ", `a ${path} b`)).toEqual(["- a", `  ${path}`, "  b"]);
});

it("keeps a command whole", () => {
  const text = "bind it to vfio-pci, because it is bound to another: vfio-selftests bind 0000:01:00.0";
  expect(wrapText("  ", text)).toEqual([
    "  bind it to vfio-pci, because it is bound to another:",
    "  vfio-selftests bind 0000:01:00.0",
  ]);
});

it("loses no word and passes 80 columns only with one word a line", () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,90}$/), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(words, (all) => {
      const lines = wrapText("  ", all.join(" "));
      expect(lines.map((line) => line.trim()).join(" ")).toBe(all.join(" "));
      for (const line of lines) expect(line.length <= 80 || !line.trim().includes(" ")).toBe(true);
    }),
  );
});

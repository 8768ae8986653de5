import { RuleTester } from "eslint";
import rule from "../../../../scripts/lint/test-proves-something.cjs";

RuleTester.describe = describe;
RuleTester.it = it;

const tester = new RuleTester({ languageOptions: { ecmaVersion: 2022, sourceType: "module" } });
const options = [{ books: ["enabled"], provers: ["copy"] }];
const nothing = [{ messageId: "nothing" }];
const early = [{ messageId: "early" }];
const test = (body: string, before = ""): string => `${before}\nit("name", () => { ${body} });`;

tester.run("test-proves-something", rule, {
  valid: [
    test("expect(device.read()).toBe(1);"),
    test("expect(device.read()).not.toBe(1);"),
    "it('awaits', async () => { await expect(vector.wait()).resolves.toBe(1n); });",
    "it('gives back', () => expect(device.read()).toBe(1));",
    test("assertNoInterrupt(vector);"),
    test("rig.expectNoMsi();"),
    test("rig.copy();"),
    test("skip({ reason });"),
    test("if (absent) skip({ reason }); expect(device.read()).toBe(1);"),
    test("if (known) expect(a).toBe(1); else notChecked('a', 'b');"),
    test("withDevice((device) => { expect(device.read()).toBe(1); });"),
    test("for (const bar of bars) expect(bar.read()).toBe(1);"),
    test("try { expect(a).toBe(1); } finally { close(); }"),
    test("try { use(); } finally { expect(a).toBe(1); }"),
    // A `return` after the first proof is fine.
    test("expect(a).toBe(1); if (last) return; expect(b).toBe(1);"),
    test("check();", "function check() { expect(a).toBe(1); }"),
    test("check();", "const check = () => { expect(a).toBe(1); };"),
    // The value of our own books, together with a value from the kernel.
    test("expect(index.enabled).toBe(true); expect(device.read()).toBe(1);"),
    test("expect(() => device.open()).toThrow(errorWithCode('EBUSY'));"),
    // A callback's `return` does not leave the test.
    test("const odd = list.filter((each) => { return each % 2; }); expect(odd).toEqual(device.list());"),
    // There is no test.
    "describe('suite', () => { define(); });",
  ].map((code) => ({ code, options })),
  invalid: [
    { code: test(""), errors: nothing },
    { code: test("device.reset();"), errors: nothing },
    { code: test("expect(index.enabled).toBe(false);"), errors: nothing },
    { code: test("expect(() => device.read(size)).toThrow(errorWithCode('ERR_INVALID_ARGUMENT'));"), errors: nothing },
    { code: test("if (known) expect(a).toBe(1);"), errors: nothing },
    { code: test("try { use(); } catch (error) { expect(error).toBe(1); }"), errors: nothing },
    { code: test("known && expect(a).toBe(1);"), errors: nothing },
    { code: test("const later = () => { expect(a).toBe(1); };"), errors: nothing },
    { code: test("expect(device.read());"), errors: nothing },
    { code: test("find();", "function find() { if (known) return known; skip(); }"), errors: nothing },
    { code: test("again();", "function again() { again(); }"), errors: nothing },
    { code: test("if (unknown) return; expect(a).toBe(1);"), errors: early },
    { code: test("withDevice((device) => { if (unknown) return; expect(a).toBe(1); });"), errors: early },
    { code: "it.each([1, 2])('name', (n) => { use(n); });", errors: nothing },
  ].map((wrong) => ({ ...wrong, options })),
});

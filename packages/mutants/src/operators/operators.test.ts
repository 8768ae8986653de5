import { cParser } from "../source/c-parser";
import { findCandidates } from "../source/find-candidates";
import { instrument } from "../source/instrument";
import { OPERATORS } from "./table";

async function find(body: string, signature = "static int func(struct vfio_device *device)") {
  const text = `${signature}\n{\n${body}\n}\n`;
  const found = findCandidates(await cParser(), text, OPERATORS);
  const at = (start: number, end: number): string => text.slice(start, end).replace(/\s+/g, " ");
  const faults = found.map(({ operator, start, end, faulty }) => `${operator}: ${at(start, end)} -> ${faulty}`);
  const wrapped = instrument(
    text,
    found.flatMap(({ wrappers }, i) => wrappers.map((wrapper) => ({ ...wrapper, number: i + 1 }))),
  ).text;
  return { faults, wrapped: wrapped.slice(signature.length + 3, -3) };
}

test("a condition is negated, never true and always true; its operands are dropped", async () => {
  expect((await find("if (a && b)\n\tx();")).faults).toEqual([
    "condition-negated: a && b -> !(a && b)",
    "condition-never: a && b -> (a && b, false)",
    "condition-always: a && b -> (a && b, true)",
    "condition-always: a -> (a, true)",
    "condition-always: b -> (b, true)",
    "call-dropped: x(); -> ;",
  ]);
});

test("a loop is left out, and never made endless", async () => {
  expect((await find("while (a)\n\tb++;")).faults).toEqual(["condition-never: a -> (a, false)"]);
  expect((await find("for (;;)\n\tb++;")).faults).toEqual([]);
});

test("the edge of a comparison moves; that it matters is told where the operands can be read twice", async () => {
  expect((await find("return a->size < b;")).wrapped).toBe(
    "return (mutant_if(1, (a->size) == (b)) ? (a->size <= b) : (a->size < b));",
  );
  expect((await find("return next(a) < b;")).wrapped).toBe("return (mutant(1) ? (next(a) <= b) : (next(a) < b));");
  expect((await find("last = start + length - 1;")).faults).toEqual([
    "off-by-one: start + length - 1 -> start + length",
  ]);
});

test("a call is dropped as a statement, or succeeds without being made", async () => {
  expect((await find("disable(a);")).wrapped).toBe("{ if (!mutant(1)) disable(a); }");
  expect((await find("ret = enable(a);")).wrapped).toBe("ret = (mutant(1) ? (0) : (enable(a)));");
  expect((await find("return enable(a);")).faults).toEqual(["call-dropped: enable(a) -> 0"]);
  expect((await find("return enable(a);", "static struct page *func(void)")).faults).toEqual([]);
});

test("references have an operator of their own", async () => {
  expect((await find("vfio_device_put_registration(device);")).faults).toEqual([
    "reference-dropped: vfio_device_put_registration(device); -> ;",
  ]);
});

test("a lock goes with its releases, and not alone", async () => {
  const { faults, wrapped } = await find(
    "mutex_lock(&a);\nif (x) {\nmutex_unlock(&a);\nreturn 0;\n}\nmutex_unlock(&a);",
  );
  expect(faults.filter((fault) => fault.startsWith("lock"))).toEqual(["lock-dropped: mutex_lock(&a); -> ;"]);
  expect(wrapped.match(/\{ if \(!mutant\(1\)\) mutex_(un)?lock\(&a\); \}/g)).toHaveLength(3);
  expect((await find("mutex_lock(&a);\nx = 1;")).faults).toEqual([]);
  expect((await find("mutex_unlock(&a);")).faults).toEqual([]);
});

test("an errno, flags and sizes become others", async () => {
  const { faults } = await find(
    "info.flags = FLAG_A | FLAG_B;\ninfo.size = length;\na->count = 3;\nx &= ~FLAG_A;\ny->open = true;\nreturn -EINVAL;",
  );
  expect(faults).toEqual([
    "flag: FLAG_A -> 0",
    "flag: FLAG_B -> 0",
    "wrong-size: length -> (length) + 4096",
    "wrong-size: 3 -> (3) + 1",
    "flag: ~FLAG_A -> ~0",
    "flag: true -> false",
    "errno-exchanged: -EINVAL -> -EPERM",
  ]);
});

test("what the compiler must know, what only watches and what is no expression stays as it is", async () => {
  for (const body of [
    "static int x = A | B;",
    "int x[A + 1];",
    "x = sizeof(a + 1);",
    "switch (x) {\ncase A | B:\nbreak;\n}",
    "guard(mutex)(&device->lock);",
    "lockdep_assert_held(&device->lock);",
    "if (WARN_ON(a))\nb++;",
    "BUILD_BUG_ON(a < b);",
    "x = container_of(a, struct b, c);",
    "DEFINE_WAIT(x);",
    "list_for_each_entry(a, &b->c, d)\nx++;",
    "if (IS_ENABLED(CONFIG_X))\ny++;",
    'dev_info(a, "x" , b < c);',
  ]) {
    expect({ body, faults: (await find(body)).faults }).toEqual({ body, faults: [] });
  }
});

test("what runs while the kernel boots is left alone", async () => {
  expect((await find("return register_it();", "static int __init func(void)")).faults).toEqual([]);
});

test("a piece with a directive inside is not wrapped", async () => {
  const { wrapped } = await find("call(a,\n#ifdef X\n\tb,\n#endif\n\tc);");
  expect(wrapped).not.toContain("mutant(");
});

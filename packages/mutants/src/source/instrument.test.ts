import fc from "fast-check";
import { OPERATORS } from "../operators/table";
import { cParser } from "./c-parser";
import { findCandidates } from "./find-candidates";
import { instrument, type NumberedWrapper } from "./instrument";

/** Wrappers as brackets, so that one sees what is around what. */
function bracket(number: number, start: number, end: number): NumberedWrapper {
  return { number, start, end, before: (own) => `[${own}:`, after: "]" };
}

test("wrappers are put around pieces that are apart, nested, or the same", () => {
  const { text, spans } = instrument("abcdef", [
    bracket(3, 4, 6),
    bracket(1, 0, 3),
    bracket(2, 1, 3),
    bracket(4, 4, 6),
  ]);
  expect(text).toBe("[1:a[2:bc]]d[3:[4:ef]]");
  expect(spans.map(({ number, start, end }) => `${number} ${text.slice(start, end)}`)).toEqual([
    "2 [2:bc]",
    "1 [1:a[2:bc]]",
    "4 [4:ef]",
    "3 [3:[4:ef]]",
  ]);
});

test("pieces that overlap are an error", () => {
  expect(() => instrument("abcdef", [bracket(1, 0, 3), bracket(2, 2, 5)])).toThrow("mutants 1 and 2 overlap");
});

/** Functions of numbers in the part of C that is also JavaScript. */
const { program } = fc.letrec<{ value: string; statement: string; program: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthIdentifier: "value" },
    fc.constantFrom("a", "b", "0", "1", "7", "-EINVAL", "FLAG_A", "f(a)"),
    fc
      .tuple(
        tie("value"),
        fc.constantFrom("<", "<=", ">", ">=", "==", "!=", "&&", "||", "+", "-", "|", "&"),
        tie("value"),
      )
      // JavaScript's `||` gives the operand, C's gives 0 or 1.
      .map((parts) => `${/[&|]{2}/.test(parts[1]) ? "!!" : ""}(${parts.join(" ")})`),
    tie("value").map((value) => `!(${value})`),
    fc
      .tuple(tie("value"), tie("value"), tie("value"))
      .map(([condition, one, other]) => `((${condition}) ? ${one} : ${other})`),
  ),
  statement: fc.oneof(
    { maxDepth: 3, depthIdentifier: "statement" },
    tie("value").map((value) => `rc = ${value};`),
    tie("value").map((value) => `rc = g(${value});`),
    tie("value").map((value) => `s.size = ${value};`),
    tie("value").map((value) => `h(${value});`),
    fc.constantFrom("put_it(a);", "mutex_lock(l);", "mutex_unlock(l);", "s.flags |= FLAG_A;", "s.flags &= ~FLAG_B;"),
    tie("value").map((value) => `return ${value};`),
    fc.tuple(tie("value"), tie("statement")).map(([condition, then]) => `if (${condition}) ${then}`),
    fc
      .tuple(tie("value"), tie("statement"), tie("statement"))
      .map(([condition, then, other]) => `if (${condition}) { ${then} }\n\telse ${other}`),
    fc.array(tie("statement"), { maxLength: 4 }).map((inner) => `{\n\t${inner.join("\n\t")}\n}`),
  ),
  program: fc
    .array(tie("statement"), { minLength: 1, maxLength: 6 })
    .map((body) => `{\n${body.join("\n")}\nreturn rc;\n}`),
}));

interface Switch {
  mutant: (number: number) => boolean;
  mutant_if: (number: number, differs: unknown) => boolean;
  mutant_not: (number: number, condition: unknown) => boolean;
  mutant_never: (number: number, condition: unknown) => boolean;
  mutant_always: (number: number, condition: unknown) => boolean;
}

/** What kernel/mutants.h does, and what it notes. */
function switchFor(active: number, seen: Map<number, boolean>): Switch {
  const mutantIf = (number: number, differs: unknown): boolean => {
    seen.set(number, seen.get(number) === true || Boolean(differs));
    return number === active;
  };
  return {
    mutant: (number) => mutantIf(number, true),
    mutant_if: mutantIf,
    mutant_not: (number, condition) => (mutantIf(number, true) ? !condition : Boolean(condition)),
    mutant_never: (number, condition) => (mutantIf(number, condition) ? false : Boolean(condition)),
    mutant_always: (number, condition) => (mutantIf(number, !condition) ? true : Boolean(condition)),
  };
}

/** Runs a body as JavaScript: its value, and all that it did. Values are numbers, as in C. */
function run(body: string, [a, b]: readonly [number, number], active = 0): { did: string; seen: Map<number, boolean> } {
  const seen = new Map<number, boolean>();
  const calls: string[] = [];
  const call =
    (name: string, result: number) =>
    (value: unknown): number => {
      calls.push(`${name}(${Number(value)})`);
      return result;
    };
  const names = {
    ...switchFor(active, seen),
    f: call("f", 3),
    g: call("g", 0),
    h: call("h", 1),
    put_it: call("put_it", 0),
    mutex_lock: call("mutex_lock", 0),
    mutex_unlock: call("mutex_unlock", 0),
    ...{ l: 0, EINVAL: 22, EPERM: 1, FLAG_A: 4, FLAG_B: 8 },
  };
  const s: Record<string, unknown> = { flags: 15, size: 0 };
  // eslint-disable-next-line @typescript-eslint/no-implied-eval
  const program = new Function("a", "b", "s", "rc", ...Object.keys(names), body) as (...args: unknown[]) => unknown;
  const result = program(a, b, s, 0, ...Object.values(names));
  const told = Object.entries(s).map(([field, value]) => `${field}=${Number(value)}`);
  return { did: [...calls, ...told, `return ${Number(result)}`].join(" "), seen };
}

async function mutated(body: string) {
  const text = `int func(int a, int b) ${body}\n`;
  const candidates = findCandidates(await cParser(), text, OPERATORS);
  const wrappers = candidates.flatMap((candidate, i) =>
    candidate.wrappers.map((wrapper) => ({ ...wrapper, number: i + 1 })),
  );
  const instrumented = instrument(text, wrappers).text;
  const strip = "int func(int a, int b) ".length;
  return { count: candidates.length, body: instrumented.slice(strip), lines: instrumented.split("\n").length };
}

const INPUTS = [
  [0, 0],
  [1, 0],
  [0, 1],
  [7, 7],
  [-3, 8],
] as const;

test("a program with all mutants off does what the original does, and has as many lines", async () => {
  await fc.assert(
    fc.asyncProperty(program, async (body) => {
      const { body: instrumented, lines } = await mutated(body);
      expect(lines).toBe(`${body}\n`.split("\n").length);
      for (const input of INPUTS) expect(run(instrumented, input).did).toBe(run(body, input).did);
    }),
    { numRuns: 200 },
  );
});

test("a mutant that is not told to differ changes nothing", async () => {
  await fc.assert(
    fc.asyncProperty(program, async (body) => {
      const { body: instrumented, count } = await mutated(body);
      for (const input of INPUTS) {
        const { did, seen } = run(instrumented, input);
        for (let number = 1; number <= count; number++) {
          if (seen.get(number) !== true) expect(run(instrumented, input, number).did).toBe(did);
        }
      }
    }),
    { numRuns: 60 },
  );
});

import { identify, type TestIdentity } from "../outcome/test-identity";

type Body = () => void;

/**
 * The tests that `define` would register with jest, without jest and without running any. It replaces `describe` and
 * `it` meanwhile. Suites must therefore decide what tests there are without asking a device.
 */
export function collectTests(define: () => void): TestIdentity[] {
  const tests: TestIdentity[] = [];
  const titles: string[] = [];
  const describe = (title: string, body: Body): void => {
    titles.push(title);
    body();
    titles.pop();
  };
  const it = (title: string): void => void tests.push(identify([...titles, title]));
  const hook = (): void => undefined;
  const stubs = { describe, it, beforeAll: hook, beforeEach: hook, afterEach: hook, afterAll: hook };
  const originals = Object.fromEntries(
    Object.keys(stubs).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]),
  );
  Object.assign(globalThis, stubs);
  try {
    define();
  } finally {
    for (const [name, original] of Object.entries(originals)) {
      if (original === undefined) Reflect.deleteProperty(globalThis, name);
      else Object.defineProperty(globalThis, name, original);
    }
  }
  return tests;
}

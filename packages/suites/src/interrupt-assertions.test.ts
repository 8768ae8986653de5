import { Eventfd } from "@vfio-selftests/core";
import { assertNoInterrupt } from "./interrupt-assertions";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

test("throws when there was a signal, now or within the time, and takes it", () => {
  using eventfd = new Eventfd("vector 3");
  assertNoInterrupt(eventfd);
  assertNoInterrupt(eventfd, { withinMs: 5 });
  eventfd.signal(2n);
  expect(() => assertNoInterrupt(eventfd, { withinMs: 1000 })).toThrow(
    /vector 3 was signalled 2 time\(s\), expected none/,
  );
  assertNoInterrupt(eventfd);
});

test("refuses a time that is no time, and a closed eventfd", () => {
  using eventfd = new Eventfd("vector 3");
  expect(() => assertNoInterrupt(eventfd, { withinMs: NaN })).toThrow(withCode("ERR_INVALID_ARGUMENT"));
  eventfd.close();
  expect(() => assertNoInterrupt(eventfd)).toThrow(withCode("ERR_CLOSED"));
});

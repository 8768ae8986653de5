import { printable } from "./printable";

it.each([
  ["\u001b[2J\u001b]0;title\u0007gone", "\ufffd[2J\ufffd]0;title\ufffdgone"],
  ["C1: \u009b31m", "C1: \ufffd31m"],
  ["two\r\nlines\u2028three", "two lines three"],
  ["right\u202eto left", "right\ufffdto left"],
  ["größe 1 µs ≤ 日本", "größe 1 µs ≤ 日本"],
])("%j becomes %j", (text, shown) => {
  expect(printable(text)).toBe(shown);
});

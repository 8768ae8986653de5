import { addMeasurements, EMPTY_DATABASE } from "./coverage-database";
import { parseDatabase } from "./parse-database";

const DATABASE = addMeasurements(
  EMPTY_DATABASE,
  "igb+intel",
  new Map([
    [
      "f.a",
      new Map([
        [
          "a.c",
          {
            lines: new Map([
              [3, 1],
              [4, 0],
            ]),
            functions: new Map([["f", { line: 3, lastLine: 4, count: 1 }]]),
          },
        ],
      ]),
    ],
  ]),
);

it("what is written is read", () => {
  expect(parseDatabase(JSON.stringify(DATABASE))).toEqual(DATABASE);
});

it.each<[string, unknown, string]>([
  ["another format", { ...DATABASE, format: 1 }, "its format is 1, and this program reads format 2"],
  ["no object", [], "the file is []; allowed: an object"],
  [
    "lines that are no ranges",
    { ...DATABASE, lines: { "a.c": "3-x" } },
    'lines: "a.c" is "3-x"; allowed: lines like 3,7-12',
  ],
  ["a range that ends before it begins", { ...DATABASE, lines: { "a.c": "9-3" } }, '"9-3"'],
  ["a range that would fill the memory", { ...DATABASE, lines: { "a.c": "1-9999999999" } }, '"1-9999999999"'],
  [
    "reached lines that are none",
    { ...DATABASE, machines: { m: { "f.a": { "a.c": 5 } } } },
    'the lines of "f.a": "a.c" is 5',
  ],
  ["no machines", { ...DATABASE, machines: undefined }, "machines is missing"],
  ["functions that are none", { ...DATABASE, functions: { "a.c": [["f", 1]] } }, 'functions["a.c"] is [["f",1]]'],
])("refuses %s", (_, value, message) => {
  expect(() => parseDatabase(JSON.stringify(value))).toThrow(message);
});

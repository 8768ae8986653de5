/** What a schema says of an element. */
export interface ElementRule {
  readonly required: readonly string[];
  readonly optional: readonly string[];
  /** Patterns of attributes' values. */
  readonly values?: Readonly<Record<string, RegExp>>;
  /** The children's names as one text, a space after each. */
  readonly children: RegExp;
  readonly text: boolean;
}

export type Rules = Readonly<Record<string, ElementRule>>;

const NUMBER = /^\d+$/;
const DECIMAL = /^\d+(\.\d+)?$/;
const NOT_EMPTY = /\S/;
const NO_CHILDREN = /^$/;

const property: ElementRule = { required: ["name", "value"], optional: [], children: NO_CHILDREN, text: false };
const properties: ElementRule = { required: [], optional: [], children: /^(property )*$/, text: false };
const output: ElementRule = { required: [], optional: [], children: NO_CHILDREN, text: true };

/** The schema for Ant's junitreport task (JUnit.xsd of windyroad/JUnit-Schema), as far as elements that we write go. */
export const ANT_RULES: Rules = {
  testsuites: { required: [], optional: [], children: /^(testsuite )*$/, text: false },
  testsuite: {
    required: ["id", "package", "name", "timestamp", "hostname", "tests", "failures", "errors", "time"],
    optional: ["skipped"],
    values: {
      id: NUMBER,
      name: NOT_EMPTY,
      hostname: NOT_EMPTY,
      timestamp: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/,
      tests: NUMBER,
      failures: NUMBER,
      errors: NUMBER,
      skipped: NUMBER,
      time: DECIMAL,
    },
    children: /^properties (testcase )*system-out system-err $/,
    text: false,
  },
  properties,
  property,
  testcase: {
    required: ["name", "classname", "time"],
    optional: [],
    values: { time: DECIMAL },
    children: /^((skipped|error|failure) )?$/,
    text: false,
  },
  skipped: { required: [], optional: ["message"], children: NO_CHILDREN, text: true },
  error: { required: ["type"], optional: ["message"], children: NO_CHILDREN, text: true },
  failure: { required: ["type"], optional: ["message"], children: NO_CHILDREN, text: true },
  "system-out": output,
  "system-err": output,
};

const problem: ElementRule = { required: [], optional: ["type", "message"], children: NO_CHILDREN, text: true };

/** The schema of Jenkins (junit-10.xsd of its xunit-plugin), as far as elements that we write go. */
export const JENKINS_RULES: Rules = {
  testsuites: {
    required: [],
    optional: ["name", "time", "tests", "failures", "errors"],
    children: /^(testsuite )*$/,
    text: false,
  },
  testsuite: {
    required: ["name", "tests", "failures", "errors"],
    optional: ["group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"],
    values: { time: DECIMAL },
    children: /^((testsuite|properties|testcase|system-out|system-err) )*$/,
    text: false,
  },
  properties,
  property,
  testcase: {
    required: ["name"],
    optional: ["time", "classname", "group"],
    children: /^((skipped|error|failure|system-out|system-err) )*$/,
    text: false,
  },
  skipped: problem,
  error: problem,
  failure: problem,
  "system-out": output,
  "system-err": output,
};

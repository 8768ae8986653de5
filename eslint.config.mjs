import testProvesSomething from "./scripts/lint/test-proves-something.cjs";
import importSort from "eslint-plugin-simple-import-sort";
import tseslint from "typescript-eslint";

export default tseslint.config(
  {
    ignores: [
      "**/dist/**",
      "**/gyp/**",
      "**/*.cjs",
      "**/*.mjs",
      "**/*.d.cts",
      "packages/*/bin/**",
      "**/*.mts",
      "docs/public/**",
      "docs/.vitepress/cache/**",
    ],
  },
  ...tseslint.configs.strictTypeChecked,
  {
    files: ["packages/*/src/**/*.ts", "packages/cli/templates/**/*.ts", "examples/*/src/**/*.ts"],
    plugins: { "import-sort": importSort },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Numbers in messages are the rule here: offsets, sizes, errnos.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-unnecessary-condition": ["error", { allowConstantLoopConditions: true }],
      // `using` needs no later use of the name.
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "separate-type-imports" }],
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "max-lines": ["error", { max: 400, skipBlankLines: true, skipComments: true }],
      // Node's own modules, packages, ours, then files from far to near; no empty lines between.
      "import-sort/imports": [
        "error",
        { groups: [["^\\u0000", "^node:", "^(?!@vfio-selftests/)@?\\w", "^@vfio-selftests/", "^\\.\\./", "^\\./"]] },
      ],
      "no-restricted-syntax": [
        "error",
        ...[
          "PropertyDefinition[accessibility='private']",
          "MethodDefinition[accessibility='private'][kind!='constructor']",
          "TSParameterProperty[accessibility='private']",
        ].map((selector) => ({ selector, message: "Private members are #private: no caller can reach them." })),
      ],
      eqeqeq: "error",
    },
  },
  {
    files: ["packages/suites/src/**/*.ts"],
    ignores: ["**/*.test.ts"],
    plugins: { suites: { rules: { "test-proves-something": testProvesSomething } } },
    rules: {
      "suites/test-proves-something": [
        "error",
        {
          // What our objects remember of what they asked for.
          books: ["enabled", "enabledVectors", "closed", "regions"],
          // Of the rigs: they throw unless the device did what it was asked for.
          provers: ["copy", "finish", "deliverInterrupts", "expectPages"],
        },
      ],
    },
  },
  {
    files: ["**/*.test.ts"],
    rules: {
      "max-lines": "off",
      // Tests hand wrong values in on purpose, and expect() calls look unbound.
      "@typescript-eslint/unbound-method": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
);

// What every package's jest run has in common. Types are checked by `pnpm typecheck`, not here.
module.exports = {
  testEnvironment: "node",
  roots: ["<rootDir>/src"],
  testMatch: ["**/*.test.ts"],
  setupFilesAfterEnv: [require.resolve("./jest.setup.cjs")],
  transform: {
    "^.+\\.ts$": [
      "@swc/jest",
      {
        // As in tsconfig.base.json.
        jsc: { parser: { syntax: "typescript" }, target: "es2022", transform: { useDefineForClassFields: false } },
        module: { type: "commonjs" },
        sourceMaps: "inline",
      },
    ],
  },
};

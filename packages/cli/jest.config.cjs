// Commands are loaded by `import("….js")` when they are called for: built, that is a file; here it is a source.
module.exports = { ...require("../../jest.config.base.cjs"), moduleNameMapper: { "^([.]{1,2}/.*)[.]js$": "$1" } };

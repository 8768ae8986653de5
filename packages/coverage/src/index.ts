export {
  addMeasurements,
  AFTERWARDS,
  BOOT,
  commandId,
  type CoverageDatabase,
  EMPTY_DATABASE,
  databaseCoverage,
  forgetFiles,
  isCommand,
  isTest,
  measuredIds,
  testsByLine,
} from "./coverage-database";
export {
  fileShares,
  folderShares,
  functionShares,
  percent,
  type Share,
  shareTable,
  type ShareColumn,
  treeShares,
} from "./coverage-table";
export { type Coverage, coverageSince, type FileCoverage, type FunctionCoverage, mergeCoverage } from "./file-coverage";
export { decodeArchive, encodeArchive, type GcovArchive } from "./gcov-archive";
export { gcovCoverage, parseGcovOutput } from "./gcov-json";
export { coveragePage, type PageOptions } from "./html-page";
export { lcovTrace, parseLcov } from "./lcov";
export { decodeLines, encodeLines } from "./line-ranges";
export { parseDatabase } from "./parse-database";
export { type FilePatch, type Hunk, parsePatch } from "./patch";
export { type ChangesSince, patchCoverage, type PatchLine, reachingTests } from "./patch-coverage";

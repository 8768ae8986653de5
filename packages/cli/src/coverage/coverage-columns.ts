import {
  BOOT,
  type Coverage,
  type CoverageDatabase,
  databaseCoverage,
  isCommand,
  measuredIds,
  type Share,
  type ShareColumn,
} from "@vfio-selftests/coverage";

/** What the tests reached; beside it what commands did as a whole, such as the kernel's C programs, where some were measured. */
export function columnsOf(database: CoverageDatabase, shares: (coverage: Coverage) => Share[]): ShareColumn[] {
  const tests = { title: "tests", shares: shares(databaseCoverage(database, (id) => !isCommand(id))) };
  if (!measuredIds(database).some(isCommand)) return [tests];
  const commands = {
    title: "commands",
    shares: shares(databaseCoverage(database, (id) => id === BOOT || isCommand(id))),
  };
  return [tests, commands];
}

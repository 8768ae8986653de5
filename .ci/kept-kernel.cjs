// Fails, and says what is missing, unless the lab's cache has a kernel of these variants (`kasan,lockdep`).
const { labCache, requireKeptBuild, thisHost } = require("../packages/lab");

try {
  requireKeptBuild(labCache(thisHost()), { variants: process.argv[2].split(","), tree: undefined });
} catch (error) {
  console.log(error.message.replace(/\s+/g, " "));
  process.exit(1);
}

/** `pnpm commands-page`: writes docs/commands.md and the man page anew. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { commandsPage } from "./commands-page";
import { manPage } from "./man-page";

const PACKAGE = join(__dirname, "../..");

async function write(path: string, text: Promise<string>): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, await text);
}

void write(join(PACKAGE, "../../docs/commands.md"), commandsPage());
void write(join(PACKAGE, "man/vfio-selftests.1"), manPage());

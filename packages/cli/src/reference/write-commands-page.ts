/** `pnpm commands-page`: writes docs/commands.md anew. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandsPage } from "./commands-page";

void commandsPage().then((page) => writeFileSync(join(__dirname, "../../../../docs/commands.md"), page));

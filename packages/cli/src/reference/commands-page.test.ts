import { readFileSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS } from "../commands";
import { longName } from "../options/option";
import { commandsPage } from "./commands-page";

const page = commandsPage();

test("docs/commands.md matches the tables; `pnpm commands-page` writes it", async () => {
  expect(readFileSync(join(__dirname, "../../../../docs/commands.md"), "utf8")).toBe(await page);
});

test.each(COMMANDS.map(({ name }) => name))("the page has %s and its options", async (name) => {
  const section = (await page).split(/^## /m).find((part) => part.startsWith(`${name}\n`)) ?? "";
  const command = await COMMANDS.find((entry) => entry.name === name)?.load();
  const names = Object.values(command?.options ?? {}).map((spec) => longName(spec));
  for (const option of names) expect(section).toContain(option);
});

// The site of docs/: guides first, then reference. `pnpm site` builds it, with the API of all packages below /api.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, posix, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type DefaultTheme, defineConfig } from "vitepress";

const DOCS = join(dirname(fileURLToPath(import.meta.url)), "..");
const ROOT = join(DOCS, "..");
const REPOSITORY = "https://github.com/vfio-selftests/vfio-selftests";

/** In the order in which a newcomer needs them. */
const GUIDES = ["first-test", "write-a-test", "write-a-driver", "write-a-model", "hardware", "lab", "farms"];

/** Pages that are looked things up in; all others explain. */
const REFERENCE = ["commands", "errors", "troubleshooting", "upstream", "more-tests"];

/** Where the pages of a folder are, without the ending. */
const pagesIn = (folder: string): string[] =>
  readdirSync(join(DOCS, folder))
    .filter((name) => name.endsWith(".md") && name !== "index.md")
    .map((name) => posix.join(folder, name.slice(0, -".md".length)));

/** A page's first heading is its title. */
function entry(page: string): DefaultTheme.SidebarItem {
  const [, title = page] = /^# (.+)$/m.exec(readFileSync(join(DOCS, `${page}.md`), "utf8")) ?? [];
  return { text: title.replaceAll("`", ""), link: `/${page}` };
}

const guides = GUIDES.map((name) => `guides/${name}`).filter((page) => existsSync(join(DOCS, `${page}.md`)));
const others = pagesIn("guides").filter((page) => !guides.includes(page));
const explained = pagesIn(".").filter((page) => !REFERENCE.includes(page));

/** A link to a file that is no page of the site leads to the repository. */
function linkTo(href: string, page: string): string {
  const [path = "", anchor] = href.split("#", 2);
  if (path === "" || /^[a-z]+:|^\//.test(path)) return href;
  const file = join(DOCS, dirname(page), path);
  if (!relative(DOCS, file).startsWith("..")) return href;
  const kind = statSync(file).isDirectory() ? "tree" : "blob";
  return `${REPOSITORY}/${kind}/main/${relative(ROOT, file)}${anchor === undefined ? "" : `#${anchor}`}`;
}

export default defineConfig({
  title: "vfio-selftests",
  description: "The TypeScript toolkit and test suite for Linux VFIO, IOMMUFD and the IOMMU drivers under them",
  cleanUrls: false,
  themeConfig: {
    search: { provider: "local" },
    outline: "deep",
    nav: [
      { text: "Guides", link: `/${guides[0] ?? "index"}` },
      { text: "Commands", link: "/commands" },
      { text: "Errors", link: "/errors" },
      { text: "API", link: "/api/index.html", target: "_self" },
    ],
    sidebar: [
      { text: "Guides", items: [...guides, ...others].map(entry) },
      {
        text: "Reference",
        items: [...REFERENCE.map(entry), { text: "API", link: "/api/index.html", target: "_self" }],
      },
      { text: "How it works", collapsed: true, items: explained.map(entry) },
      { text: "Found in the kernel", collapsed: true, items: pagesIn("kernel-findings").map(entry) },
    ],
  },
  markdown: {
    config: (markdown) => {
      markdown.core.ruler.push("links-of-the-repository", ({ tokens, env }) => {
        const links = tokens.flatMap(({ children }) => children ?? []).filter(({ type }) => type === "link_open");
        const { relativePath } = env as { relativePath: string };
        for (const link of links) link.attrSet("href", linkTo(link.attrGet("href") ?? "", relativePath));
      });
    },
  },
});

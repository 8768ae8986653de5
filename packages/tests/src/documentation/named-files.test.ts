import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pagesBelow } from "./pages-below";

const ROOT = join(__dirname, "../../../..");
const PACKAGES = join(ROOT, "packages");

const pages = [
  "README.md",
  "CONTRIBUTING.md",
  ...pagesBelow(join(ROOT, "docs")).map((name) => `docs/${name}`),
  ...readdirSync(PACKAGES).map((name) => `packages/${name}/README.md`),
].filter((page) => existsSync(join(ROOT, page)));

it("docs/architecture.md names files that are there, in its tour", () => {
  const text = readFileSync(join(ROOT, "docs/architecture.md"), "utf8");
  const tour = text.slice(text.indexOf("## A newcomer's tour"), text.indexOf("## The design, and why"));
  const named = [...tour.matchAll(/^ {4}([\w-]+\/[\w./-]+)/gm)].map(([, path]) => path ?? "");
  expect(named.length).toBeGreaterThan(20);
  const built = (path: string) => path.replace(/\.js$/, ".ts");
  expect(named.filter((path) => !existsSync(join(PACKAGES, built(path))))).toEqual([]);
});

it("docs/architecture.md names files and folders that are there, in its text", () => {
  const text = readFileSync(join(ROOT, "docs/architecture.md"), "utf8");
  const packages = readdirSync(PACKAGES);
  const named = [...text.matchAll(/`(\w[\w.-]*(?:\/[\w.-]+)+\/?)`/g)].map(([, path]) => path ?? "");
  const isOurs = (path: string): boolean => existsSync(join(ROOT, path.split("/")[0] ?? "")) || isOfPackage(path);
  const isOfPackage = (path: string): boolean => packages.includes(path.split("/")[0] ?? "");
  const ours = named.filter(isOurs);
  expect(ours.length).toBeGreaterThan(25);
  // `core/testing` is the subpath of a package, `core/src/testing` its folder.
  const isThere = (path: string): boolean =>
    [ROOT, PACKAGES].some((folder) => existsSync(join(folder, path))) ||
    existsSync(join(PACKAGES, path.replace("/", "/src/")));
  expect(ours.filter((path) => !isThere(path))).toEqual([]);
});

it.each(pages)("%s links to files that are there", (page) => {
  const text = readFileSync(join(ROOT, page), "utf8");
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, path]) => path ?? "");
  expect(links.filter((path) => !existsSync(join(ROOT, dirname(page), path)))).toEqual([]);
});

it("no text that users of the packages see names a script of this repository", () => {
  const sources = readdirSync(PACKAGES)
    .filter((name) => !isPrivate(name))
    .flatMap((name) =>
      readdirSync(join(PACKAGES, name, "src"), { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
        .map((file) => join(PACKAGES, name, "src", file)),
    );
  const named = sources.filter((file) => /pnpm vfio (?:run|lab|list|bind)/.test(readFileSync(file, "utf8")));
  // `asCalled` puts the script in where the command was called by it.
  expect(named).toEqual([]);
});

function isPrivate(name: string): boolean {
  const manifest = JSON.parse(readFileSync(join(PACKAGES, name, "package.json"), "utf8")) as { private?: boolean };
  return manifest.private === true;
}

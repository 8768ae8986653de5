import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { pagesBelow } from "./pages-below";

const ROOT = join(__dirname, "../../../..");
/** Where a page on npm finds the repository's files. */
const IN_REPOSITORY = /^https:\/\/github\.com\/vfio-selftests\/vfio-selftests\/(?:blob|tree)\/main\/([^#]+)/;

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly files?: readonly string[];
}

interface Link {
  readonly page: string;
  readonly target: string;
}

const packages = readdirSync(join(ROOT, "packages"))
  .map((name) => `packages/${name}`)
  .map((folder) => ({
    folder,
    manifest: JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8")) as Manifest,
  }))
  .filter(({ manifest }) => manifest.private !== true)
  .map(({ folder, manifest }) => ({ name: manifest.name, folder, packed: ["README.md", ...(manifest.files ?? [])] }))
  .map((one) => ({ ...one, links: pagesIn(one.folder, one.packed).flatMap((page) => linksIn(one.folder, page)) }));

/** Templates are pages of the packages that are made of them. */
function pagesIn(folder: string, packed: readonly string[]): readonly string[] {
  return pagesBelow(join(ROOT, folder)).filter((path) => !path.startsWith("templates/") && isBelow(path, packed));
}

function isBelow(path: string, packed: readonly string[]): boolean {
  return packed.some((entry) => path === entry || path.startsWith(`${entry}/`));
}

function linksIn(folder: string, page: string): readonly Link[] {
  const text = readFileSync(join(ROOT, folder, page), "utf8");
  return [...text.matchAll(/\]\(([^)\s#][^)\s]*)\)/g)].map(([, target = ""]) => ({ page, target }));
}

it.each(packages)("$name links to nothing that its tarball lacks", ({ packed, links }) => {
  const local = links.filter(({ target }) => !/^[a-z]+:/.test(target));
  const path = ({ page, target }: Link): string => posix.join(posix.dirname(page), target.split("#", 1)[0] ?? "");
  expect(local.filter((link) => !isBelow(path(link), packed))).toEqual([]);
});

it("their links to the repository lead to files of it", () => {
  const paths = packages.flatMap(({ links }) => links.flatMap(({ target }) => IN_REPOSITORY.exec(target)?.[1] ?? []));
  expect(paths.length).toBeGreaterThan(5);
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

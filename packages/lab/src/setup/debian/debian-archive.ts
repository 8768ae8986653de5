/** Debian's archive, as a place of packages that the set-up unpacks itself. */
export interface DebianArchive {
  /** The newest version of a package, and the names of those that it depends on. Undefined: the archive lacks it. */
  newest(name: string): Promise<{ readonly version: string; readonly depends: readonly string[] } | undefined>;
  /** Downloads a package, checks it by the archive's signature, and gives its path in the folder. */
  download(name: string, version: string, folder: string): Promise<string>;
}

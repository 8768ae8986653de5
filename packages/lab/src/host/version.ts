/** A program's major and minor version, as in `10.1`. */
export type Version = readonly [major: number, minor: number];

/** Finds the first `major.minor` after `marker` in a program's `--version` output. */
export function parseVersion(output: string, marker: string): Version | undefined {
  const start = output.indexOf(marker);
  if (start < 0) return undefined;
  const match = /(\d+)\.(\d+)/.exec(output.slice(start + marker.length));
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

export function atLeast(version: Version, minimum: Version): boolean {
  return version[0] > minimum[0] || (version[0] === minimum[0] && version[1] >= minimum[1]);
}

export function versionText(version: Version): string {
  return version.join(".");
}

/** The command that starts a container with these options, in its own engine's words. */
export function containerRun(container: string, options: string): string {
  return `${container === "podman" ? "podman" : "docker"} run ${options} …`;
}

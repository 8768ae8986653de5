import { spawn } from "node:child_process";
import { once } from "node:events";
import { signalTree } from "./process-tree";

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("what a program has started ends with it, also by a signal that it cannot pass on", async () => {
  const script = "sh -c 'echo $$; exec sleep 600' & wait";
  const child = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "ignore"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const grandchild = Number(String(line));
  expect(isAlive(grandchild)).toBe(true);
  const ended = once(child, "exit");
  signalTree(child, "SIGKILL");
  await ended;
  const deadline = performance.now() + 5_000;
  while (isAlive(grandchild) && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(isAlive(grandchild)).toBe(false);
  // A second time there is nobody to tell.
  signalTree(child, "SIGKILL");
});

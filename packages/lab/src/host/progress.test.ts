import { TextProgress } from "./progress";

function record(live: boolean, columns = 80): { text: () => string; progress: TextProgress } {
  let text = "";
  const output = { isTTY: live, columns, write: (part: string) => (text += part) };
  return { text: () => text, progress: new TextProgress(output, { live }) };
}

test("without a terminal there are plain lines, and details make none", () => {
  const { text, progress } = record(false);
  progress.step("kernel build");
  progress.detail("CC main.o");
  progress.done("7.2");
  expect(text()).toMatch(/^kernel build \.\.\.\nkernel build: 7\.2 \(\d+\.\d s\)\n$/);
});

test("a terminal's live line ends in one line that stays", () => {
  const { text, progress } = record(true);
  progress.step("kernel build");
  progress.done("7.2");
  expect(text().replace(/.*\r\x1b\[K/gs, "")).toMatch(/^kernel build: 7\.2 \(.*\)\n$/);
});

test("a live line is never wider than the terminal", () => {
  const { text, progress } = record(true, 20);
  using _cleaned = progress;
  progress.step("a title that is much longer than the terminal is wide");
  expect(text().split("\x1b[K")[1]?.length).toBeLessThan(20);
});

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { notInLab } from "../not-in-lab";
import { runCommand, runOnTerminal } from "./run-command";

const QUICK = ["run", "-d", "model:ioat,model:dsa", "-t", "vfio_pci_device_test[.](reset|validate_bars)"];
const FAILING = ["run", "-t", "failing_example"];
const COLUMNS = 80;

let state = "";
beforeAll(() => {
  state = mkdtempSync(join(tmpdir(), "terminal-"));
});
afterAll(() => {
  rmSync(state, { recursive: true });
});

const SGR = /\u001b\[\d+m/g;

/** What stays on the screen, and each line that was there for a while. */
function screenOf(written: string): { readonly lines: readonly string[]; readonly drawn: readonly string[] } {
  const rows = written.replace(SGR, "").replaceAll("\r\n", "\n").split("\n");
  const drawn = rows.map((row) => row.split("\r\u001b[K"));
  return { lines: drawn.map((row) => row.at(-1) ?? ""), drawn: drawn.flat() };
}

describe("a terminal of 80 columns", () => {
  notInLab();

  it("live_line_leaves_nothing_behind", () => {
    const written = runOnTerminal(QUICK, { XDG_STATE_HOME: state });
    const { lines, drawn } = screenOf(written);
    expect(drawn).toContain("1/4: model:ioat vfio_pci_device_test.validate_bars");
    for (const line of drawn) expect(line.length).toBeLessThanOrEqual(COLUMNS);
    const text = lines.join("\n");
    // No other control characters are in between.
    expect(text).toMatch(/^[\x20-\x7e\n…]*$/);
    expect(text).not.toMatch(/^ok |^\d+\/\d+/m);
    expect(text).toMatch(/^ {2}vfio_pci_device_test {4} +4 {7}- {8}- +[\d.]+ m?s {2}\.$/m);
    expect(lines.filter((line) => line !== "").at(-1)).toBe("4 passed, 0 failed, 0 skipped");
  });

  it("second_run_tells_the_time_left", () => {
    const before = readdirSync(join(state, "vfio-selftests", "durations"));
    expect(before).toEqual(["model_ioat+model_dsa.json"]);
    const { drawn } = screenOf(runOnTerminal(QUICK, { XDG_STATE_HOME: state }));
    const live = drawn.filter((line) => /^\d+\/4/.test(line));
    expect(live.length).toBeGreaterThanOrEqual(4);
    expect(live.filter((line) => !/^\d\/4, \d+ s left: model:/.test(line))).toEqual([]);
  });

  it("failure_comes_in_red_unless_NO_COLOR_forbids_it", () => {
    const failing = { VFIO_SELFTESTS_FAILING_EXAMPLE: "1", XDG_STATE_HOME: state };
    const coloured = runOnTerminal(FAILING, failing);
    expect(coloured).toMatch(/\u001b\[31mFAIL\u001b\[39m .*failing_example/);
    expect(coloured).toMatch(/\u001b\[31m\d+ failed\u001b\[39m/);
    for (const environment of [{ NO_COLOR: "1" }, { CI: "true" }]) {
      const plain = runOnTerminal(FAILING, { ...failing, ...environment });
      expect(screenOf(plain).lines.join("\n")).toMatch(/^FAIL .*failing_example/m);
      expect(plain).not.toMatch(SGR);
    }
  });

  it("pipe_has_a_plain_line_for_each_test_unless_FORCE_COLOR_asks_for_colour", () => {
    const { out } = runCommand(QUICK, { XDG_STATE_HOME: state });
    expect(out.match(/^ok {3}model:\S+ vfio_pci_device_test\.\S+ \(/gm)).toHaveLength(4);
    expect(out).not.toContain("\u001b");
    const forced = runCommand(QUICK, { XDG_STATE_HOME: state, FORCE_COLOR: "1" }).out;
    expect(forced).toContain("\u001b[32mok  \u001b[39m model:ioat ");
  });
});

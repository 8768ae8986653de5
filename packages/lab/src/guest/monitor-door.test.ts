import fc from "fast-check";
import { parseDevices } from "../machine/devices";
import { answerTo } from "./monitor-door";

const devices = parseDevices(["igb", "igb-hotplug"]);

/** A monitor that answers all commands alike, and keeps them. */
function makeMonitor(answer: () => Promise<unknown> = () => Promise.resolve("OK id: plug2")) {
  const commands: unknown[] = [];
  const execute = (command: string, parameters: object): Promise<unknown> => {
    commands.push([command, parameters]);
    return answer();
  };
  return { commands, execute };
}

test.each([
  ["unplug 0000:00:11.0", ["device_del", { id: "plug2" }]],
  ["plug 0000:00:11.0", ["device_add", { driver: "igb", id: "plug2", bus: "port2" }]],
  [
    "error 0000:00:11.0 POISON_TLP",
    ["human-monitor-command", { "command-line": "pcie_aer_inject_error plug2 POISON_TLP" }],
  ],
])("%s reaches the monitor", async (line, command) => {
  const monitor = makeMonitor();
  expect(await answerTo(line, devices, monitor)).toBe("ok");
  expect(monitor.commands).toEqual([command]);
});

test.each([
  "quit",
  "quit 0000:00:11.0",
  "toString 0000:00:11.0",
  "unplug 0000:00:11.0 now",
  "unplug 0000:00:10.0",
  "unplug 0000:00:1f.0",
  "error 0000:00:11.0",
  "error 0000:00:11.0 DLP;quit",
  "error 0000:00:11.0 -c",
  "",
])("%j is refused, and the monitor does not hear of it", async (line) => {
  const monitor = makeMonitor();
  expect(await answerTo(line, devices, monitor)).toMatch(/^refused /);
  expect(monitor.commands).toEqual([]);
});

test("whatever the guest says, the monitor hears only of the three", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "grapheme" }), async (line) => {
      const monitor = makeMonitor();
      expect(await answerTo(line, devices, monitor)).toMatch(/^refused [^\n]*$/);
      expect(monitor.commands).toEqual([]);
    }),
  );
});

test("the guest is told why QEMU refuses, on one line", async () => {
  const refusing = makeMonitor(() => Promise.reject(new Error("Device 'plug2'\nnot found")));
  expect(await answerTo("unplug 0000:00:11.0", devices, refusing)).toBe("refused Device 'plug2' not found");
  const saysNo = makeMonitor(() => Promise.resolve("invalid error status value.\r\n"));
  expect(await answerTo("error 0000:00:11.0 NONE", devices, saysNo)).toBe("refused invalid error status value.");
  expect(await answerTo("plug 0000:00:11.0", devices, undefined)).toMatch(/^refused QEMU/);
});

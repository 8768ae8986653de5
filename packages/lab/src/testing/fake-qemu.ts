import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestHost } from "./test-host";

export interface FakeQemu {
  /** Default: qemu-system-x86_64. */
  program?: string;
  version?: string;
  /** What QEMU says behind its version. */
  vendor?: string;
  /** Where the system has both. Default: in `PATH`. */
  places?: { readonly qemu: string; readonly virtiofsd: string };
  virtiofsdVersion?: string;
  virtiofsdOptions?: readonly string[];
  models?: readonly string[];
  /**
   * JavaScript that plays the guest, and ends when the host says "off". `guest` has `send(line)` and `onLine(handler)`
   * for the control port, `stdout(text)`, `stderr(text)`, `endStreams()`, `console(text)` and `stdin` (a socket).
   */
  guest?: string;
}

const VIRTIOFSD_OPTIONS = ["--readonly", "--no-announce-submounts"];

export const ALL_MODELS = [
  "vhost-user-fs-pci",
  "virtio-serial-pci",
  "virtconsole",
  "pcie-root-port",
  "intel-iommu",
  "arm-smmuv3",
];

/** Gives the host a QEMU and a virtiofsd that answer as the real ones do, and a guest that a test writes. */
export function addFakeQemu(host: TestHost, fake: FakeQemu = {}): void {
  const models = (fake.models ?? ALL_MODELS).map((model) => `name "${model}", bus PCI`).join("\n");
  const script = join(host.folder, "guest.cjs");
  writeFileSync(script, GUEST_RUNTIME.replace("/* guest */", fake.guest ?? ""));
  const add = (name: string, place: string | undefined, text: string): void => {
    if (place === undefined) host.addProgram(name, text);
    else host.addSystemProgram(place, text);
  };
  add(
    fake.program ?? "qemu-system-x86_64",
    fake.places?.qemu,
    `#!/bin/sh
case "$1" in
  --version) echo "QEMU emulator version ${fake.version ?? "11.1.3"}${fake.vendor ?? " (Debian)"}" ;;
  -device) echo '${models}' ;;
  *) exec '${process.execPath}' '${script}' "$@" ;;
esac
`,
  );
  const virtiofsd = join(host.folder, "virtiofsd.cjs");
  writeFileSync(virtiofsd, VIRTIOFSD_RUNTIME);
  add(
    "virtiofsd",
    fake.places?.virtiofsd,
    `#!/bin/sh
case "$1" in
  --version) echo "virtiofsd ${fake.virtiofsdVersion ?? "1.13.2"}" ;;
  --help) echo "${(fake.virtiofsdOptions ?? VIRTIOFSD_OPTIONS).join(" ")}" ;;
  *) exec '${process.execPath}' '${virtiofsd}' "$@" ;;
esac
`,
  );
}

const VIRTIOFSD_RUNTIME = `
const path = process.argv.find((word) => word.startsWith("--socket-path=")).slice("--socket-path=".length);
require("node:net").createServer().listen(path);
`;

/** Connects to the sockets that QEMU's command line names, as QEMU does. */
const GUEST_RUNTIME = `
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const ports = {};
let log;
for (const word of process.argv) {
  const match = /^socket,id=(\\w+),path=([^,]+)(?:,logfile=([^,]+))?/.exec(word);
  if (match === null || /^(root|run|share\\d+)$/.test(match[1])) continue;
  ports[match[1]] = net.connect(match[2]);
  log ??= match[3];
}
const [control] = process.argv.flatMap((word) => /^socket,id=control,path=([^,]+)/.exec(word)?.[1] ?? []);
const plan = fs.readFileSync(path.join(path.dirname(control), "plan.sh"), "utf8");
const endMark = /LAB_END_MARK='(.*)'/.exec(plan)[1];
let buffered = "";
const handlers = [];
ports.control.on("data", (data) => {
  buffered += data;
  for (let end; (end = buffered.indexOf("\\n")) >= 0; buffered = buffered.slice(end + 1)) {
    const line = buffered.slice(0, end);
    for (const handler of handlers) handler(line);
    if (line === "off") process.exit(0);
  }
});
const guest = {
  send: (line) => ports.control.write(line + "\\n"),
  onLine: (handler) => handlers.push(handler),
  stdout: (text) => ports.stdout.write(text),
  stderr: (text) => ports.stderr.write(text),
  endStreams: () => { ports.stdout.write(endMark); ports.stderr.write(endMark); },
  console: (text) => { fs.appendFileSync(log, text); ports.serial.write(text); },
  stdin: ports.stdin,
};
/* guest */
`;

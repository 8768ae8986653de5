import { asCalled } from "@vfio-selftests/core/errors";
import { wrapText } from "../terminal/wrap-text";
import type { Severity } from "./check";
import type { Diagnosis } from "./diagnosis";
import type { Machine } from "./machine/machine";

const HEADINGS: Readonly<Record<Severity, string>> = {
  blocks: "Keeps tests from running",
  limits: "Makes some tests skip or fail",
  note: "Good to know",
};

/** The report for people. Text fits 80 columns; commands stay whole, to be copied. */
export function diagnosisLines(
  { runs, findings, inOrder, notChecked }: Diagnosis,
  { named, devices }: Machine,
): string[] {
  const usable = devices.filter((device) => device.usable).map(({ address }) => address);
  const sections = (["blocks", "limits", "note"] as const).flatMap((severity) => {
    const found = findings.filter((finding) => finding.severity === severity);
    if (found.length === 0) return [];
    const lines = found.flatMap(({ subject, text, advice, commands }) => [
      ...wrapText(`  ${subject === "lab" ? "lab" : "devices"}: `.padEnd(11), text),
      ...(advice === undefined ? [] : wrapText("    ", advice)),
      ...commands.map((command) => `      ${asCalled(command)}`),
    ]);
    return ["", HEADINGS[severity], ...lines];
  });
  return [
    "What can run here",
    `  models   yes: ${asCalled("vfio-selftests run")}`,
    `  lab      ${runs.lab ? `yes: ${asCalled("vfio-selftests lab run")}` : "no"}`,
    `  devices  ${
      runs.devices
        ? `yes: ${asCalled(["vfio-selftests run", ...usable.map((one) => `-d ${one}`)].join(" "))}`
        : `no${named === undefined ? "" : `, not on ${named}`}`
    }`,
    ...sections,
    "",
    ...wrapText("In order:    ", inOrder.join(", ")),
    ...(notChecked.length === 0 ? [] : wrapText("Not checked: ", `${notChecked.join(", ")} (nothing to look at)`)),
  ];
}

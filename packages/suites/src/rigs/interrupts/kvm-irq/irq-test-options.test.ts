import { DEFAULT_IRQ_TEST, parseIrqTestOptions } from "./irq-test-options";

describe("parseIrqTestOptions", () => {
  it.each([
    ["", {}],
    ["-a", { hostAffinity: true }],
    ["-e -n", { emptyRouting: true, nmi: true }],
    ["-i 5000 -m -v 8", { irqs: 5000, pinVcpu: true, vcpus: 8 }],
    [" -x  --halt --seed 7 ", { apic: "xapic", idle: "halt", seed: 7 }],
    ["--spin", { idle: "spin" }],
  ])("takes %j as upstream's program does", (text, changes) => {
    expect(parseIrqTestOptions(text)).toEqual({ ...DEFAULT_IRQ_TEST, ...changes });
  });

  it.each([
    ["-q", '"-q"; allowed: -a -e -i'],
    ["-v 513", '"-v 513"; allowed: -v 1 to 512'],
    ["-i", '"-i "; allowed: -i 1 to 2147483647'],
    ["-i 1e3", '"-i 1e3"'],
    ["-d 0000:01:00.0", "VFIO_SELFTESTS_BDF"],
    ["-t iommufd", "--mode"],
  ])("refuses %j and says what is allowed", (text, message) => {
    expect(() => parseIrqTestOptions(text)).toThrow(message);
  });
});

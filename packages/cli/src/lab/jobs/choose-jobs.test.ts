import { chooseJobs, type JobsQuestion } from "./choose-jobs";

/** A machine with 4 CPUs and memory for 3 VMs, and three minutes of tests. */
const QUESTION: JobsQuestion = {
  expectedMs: 180_000,
  cpus: 4,
  availableMiB: 22_000,
};

test.each<[string, Partial<JobsQuestion>, number]>([
  ["as many as there is memory for", {}, 3],
  ["three for two CPUs, because tests wait", { cpus: 2 }, 3],
  ["one for a single CPU", { cpus: 1 }, 1],
  ["more where each takes less memory", { memoryMiB: 2048 }, 6],
  ["one, however little memory there is", { availableMiB: 0 }, 1],
  ["by the machine alone before the first run", { expectedMs: undefined }, 3],
  ["none that would boot for little work", { expectedMs: 20_000 }, 1],
  ["one for each half minute of tests", { expectedMs: 59_000 }, 2],
  ["one where the tests are new", { expectedMs: 0 }, 1],
  ["one for two CPUs where models are served", { devices: ["model:dsa"], availableMiB: 1e6 }, 2],
  ["what was asked for", { jobs: 7, cpus: 1, availableMiB: 0 }, 7],
  ["one where a device has one client", { devices: ["igb", "vfio-user:/run/x.sock"] }, 1],
])("%s", (_name, change, jobs) => {
  expect(chooseJobs({ ...QUESTION, ...change })).toBe(jobs);
});

test("several VMs cannot share a server", () => {
  expect(() => chooseJobs({ ...QUESTION, jobs: 2, devices: ["vfio-user:/run/x.sock"] })).toThrow("one client");
});

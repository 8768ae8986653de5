import { fuzzSessions } from "../../testing/fuzz-sessions";

const MESSAGES = 1_000_000;
const SEED = 20261120;

test(`${MESSAGES} generated messages: errors or a closed connection, nothing worse`, async () => {
  const result = await fuzzSessions(MESSAGES, SEED);
  expect(result.complaints).toEqual([]);
  // The generator reached what it is meant to reach.
  expect(result.replies).toBeGreaterThan(MESSAGES / 2);
  expect(result.dmaRequests).toBeGreaterThan(MESSAGES / 200);
  expect(result.mostMaps).toBeGreaterThan(5);
  expect(result.sessions).toBeGreaterThan(100);
}, 120_000);

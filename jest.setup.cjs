// What was closed in one test is closed at the end of a turn of the event loop: a test that counts descriptors must not
// find the last one's. The second turn begins after the end of the first.
const turn = () => new Promise((resolve) => setImmediate(resolve));

beforeEach(async () => {
  await turn();
  await turn();
});

// Messages name the command as the process was called (core's as-called.ts). A test's must not depend on who runs jest.
delete process.env.npm_lifecycle_event;

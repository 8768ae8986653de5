import { tmpdir } from "node:os";
import { requireTemporaryFolder } from "./jest-run";

it("a folder for temporary files that is not there is an error with its name and a remedy", () => {
  const remedy = expect.stringContaining("TMPDIR") as string;
  const error = expect.objectContaining({ name: "VfioError", code: "ENOENT", subject: "/nowhere", remedy }) as Error;
  expect(() => requireTemporaryFolder("/nowhere")).toThrow(error);
  expect(() => requireTemporaryFolder(tmpdir())).not.toThrow();
});

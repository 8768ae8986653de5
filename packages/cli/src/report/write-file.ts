import { fileSink } from "@vfio-selftests/harness/reports";

/** Writes the file whole, and says so. */
export function writeFile(path: string, content: string): void {
  const sink = fileSink(path);
  try {
    sink.write(content);
  } finally {
    sink.close();
  }
  console.log(`wrote ${path}`);
}

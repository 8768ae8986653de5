/** What jest's `it`, `test` and `describe` share. */
interface Definer {
  (title: string, body: () => void): void;
  skip(title: string, body: () => void): void;
}

/** Defines tests that give files to another user. Elsewhere they are skipped, and the title says why and what to do. */
export function asRoot(define: Definer): (title: string, body: () => void) => void {
  if (process.getuid?.() === 0) return define;
  return (title, body) => define.skip(`${title} (skipped: only root can give files away; run the tests as root)`, body);
}

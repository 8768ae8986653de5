import { duration as shortDuration } from "../formats/duration";
import { type Html, html } from "./html";

/** As the terminal tells it; in minutes where it is long. */
export function duration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 120) return shortDuration(milliseconds);
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A name of words joined by underscores and dots, which may break after each. */
export function breakable(name: string): Html {
  const parts = name.split(/(?<=[._])/);
  return html`${parts.map((part, index) => (index === 0 ? html`${part}` : html`<wbr />${part}`))}`;
}

/** Lists that are long start closed. */
export function folded(summary: string, body: Html, open: boolean): Html {
  return open
    ? html`<details open>
        <summary>${summary}</summary>
        ${body}
      </details>`
    : html`<details>
        <summary>${summary}</summary>
        ${body}
      </details>`;
}

import { type Html, html } from "./html";

export interface Heading {
  readonly text: string;
  /** Words stand on the left, numbers on the right. */
  readonly left?: boolean;
}

/** A table that scrolls by itself where the page is narrow. The keyboard reaches it. */
export function scrolling(label: string, table: Html): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}">${table}</div>`;
}

/** A scrolling table with one row of headings. */
export function table(label: string, headings: readonly Heading[], rows: readonly Html[]): Html {
  const heads = headings.map(({ text, left }) =>
    left === true ? html`<th scope="col" class="left">${text}</th>` : html`<th scope="col">${text}</th>`,
  );
  return scrolling(
    label,
    html`<table>
      <thead>
        <tr>
          ${heads}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>`,
  );
}

/** Markup. Only {@link html} and {@link trusted} make it, so whatever else a template is given is text and gets escaped. */
export class Html {
  readonly #markup: string;

  private constructor(markup: string) {
    this.#markup = markup;
  }

  /** @internal */
  static of(markup: string): Html {
    return new Html(markup);
  }

  toString(): string {
    return this.#markup;
  }
}

/** What a template takes: markup, text, and lists of them. Undefined is nothing. */
export type Part = Html | string | number | undefined | readonly Part[];

/** A template of markup. Attributes in it must have double quotes around their values. */
export function html(template: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const [head = "", ...rest] = template;
  return Html.of(head + rest.map((markup, index) => markupOf(parts[index]) + markup).join(""));
}

/** Our own text that is markup already, a style sheet say. Never text from a report. */
export function trusted(markup: string): Html {
  return Html.of(markup);
}

function markupOf(part: Part): string {
  if (part === undefined) return "";
  if (part instanceof Html) return part.toString();
  return typeof part === "object" ? part.map(markupOf).join("") : escape(String(part));
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Code point of the picture of NUL. Those of the other control characters follow. */
const CONTROL_PICTURES = 0x2400;

/** HTML has no way to write most control characters. Those with a picture become it, the others the replacement character. */
function escape(text: string): string {
  return text
    .replace(/[\ud800-\udfff\u007f-\u009f]/gu, "\ufffd")
    .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "")
    .replace(/\r\n/g, "\n")
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, (character) =>
      String.fromCharCode(CONTROL_PICTURES + character.charCodeAt(0)),
    );
}

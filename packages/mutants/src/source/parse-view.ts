/**
 * The kernel's annotations (include/linux/compiler_types.h, init.h), which are no C to a parser without preprocessor.
 */
const ANNOTATION =
  /\b__(?:user|iomem|rcu|kernel|percpu|init|exit|weak|must_check|maybe_unused|always_unused|printf\(\d+, \d+\)|free\(\w+\)|(?:acquires|releases|must_hold|counted_by)\(\w*\))(?!\w)/g;

/** A type as an argument of a macro: `container_of(p, struct foo, member)`, `min_t(unsigned long, a, b)`. */
const TYPE_ARGUMENT = /(?<=[(,]\s*)(?:struct|union|enum|unsigned|long|const)(?:\s+\w+)+(?:\s*\*+)?(?=\s*[,])/g;

/**
 * The text, with everything that the C grammar trips over replaced by as many other characters. Offsets stay the same.
 */
export function parseView(text: string): string {
  return text
    .replace(ANNOTATION, (found) => " ".repeat(found.length))
    .replace(TYPE_ARGUMENT, (found) => found.replace(/[^\w\n]/g, "_").replace(/\n/g, "\n"));
}

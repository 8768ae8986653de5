/** Cases by their names: what is asked, and the answer that the kernel must give. */
export type AnswerTable<Question> = Readonly<Record<string, readonly [question: Question, answer: string]>>;

/** Asks every case; all that answer otherwise are told together, by their names. */
export function expectAnswers<Question>(table: AnswerTable<Question>, ask: (question: Question) => string): void {
  const cases = Object.entries(table);
  const answers = cases.map(([name, [question]]) => [name, ask(question)] as const);
  expect(Object.fromEntries(answers)).toEqual(Object.fromEntries(cases.map(([name, [, answer]]) => [name, answer])));
}

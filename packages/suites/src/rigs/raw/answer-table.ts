/** Cases by their names: the question, and the answer that the kernel must give. */
export type AnswerTable<Question> = Readonly<Record<string, readonly [question: Question, answer: string]>>;

/** Asks every case. One failure shows all wrong answers together, by the names of their cases. */
export function expectAnswers<Question>(table: AnswerTable<Question>, ask: (question: Question) => string): void {
  const cases = Object.entries(table);
  const answers = cases.map(([name, [question]]) => [name, ask(question)] as const);
  expect(Object.fromEntries(answers)).toEqual(Object.fromEntries(cases.map(([name, [, answer]]) => [name, answer])));
}

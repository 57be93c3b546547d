import { type Ground, type Group, type Question, time } from './question.ts';

const [then, due] = [`now() - interval '2 hours'`, `now() - interval '1 hour'`];

/** An account that has many things due, and how it came to have them. */
const kinds: [string, (account: string, count: number) => string[]][] = [
  ['holds', (account, count) => [`call bench.hold('${account}', ${count}, ${then})`]],
  [
    'grants',
    (account, count) => [`call bench.give('${account}', ${count}, ${then}, null, ${due})`],
  ],
  [
    'scheduled grants',
    (account, count) => [`call bench.give('${account}', ${count}, ${then}, ${due}, null)`],
  ],
  [
    'scheduled grants into debt',
    (account, count) => [
      `select from credits_private.open_account_at('${account}', null, null, 1000000000, null, null,
         null, ${then})`,
      `select from credits_private.deduct_credits_at('${account}', 1000000 + 5 * ${count}, 'debt', null,
         null, null, '{}', ${then})`,
      `call bench.give('${account}', ${count}, ${then}, ${due}, null)`,
    ],
  ],
];

/** Ten thousand things that come due at once: settled, and read before that. */
export const dueThings: Group = {
  id: 'due',
  async measure(ground) {
    const questions: Question[] = [];
    for (const [kind, make] of kinds) questions.push(...(await settle(ground, kind, make)));
    return questions;
  },
};

async function settle(
  ground: Ground,
  kind: string,
  make: (account: string, count: number) => string[],
): Promise<Question[]> {
  const { client, size, rounds, say } = ground;
  const count = size(10_000);
  const words = `${count.toLocaleString('en')} due ${kind}`;
  say(`making ${words}`);
  await client.query(
    `select from credits_private.grant_credits_at($1, 1000000, 'grant', 'purchase', 100, null, null,
       null, null, null, '{}', null, ${then})`,
    [kind],
  );
  for (const text of make(kind, count)) await client.query(text);
  await client.query('call bench.copy_account($1, $2, $3)', [kind, `${kind} `, rounds]);
  const read = `remaining, with ${words}`;
  const text = `select available from credits.remaining where account_id = '${kind}'`;
  const ms: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    say(`settling ${words}`);
    const begun = performance.now();
    await client.query('select from credits.settle_account($1)', [`${kind} ${round}`]);
    ms.push(performance.now() - begun);
  }
  return [
    { what: `settling ${words}`, ms, goal: 1000 },
    { what: read, ms: await time(ground, read, text), goal: 1000 },
  ];
}

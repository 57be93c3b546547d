import type { Mapping } from '../mapping/mapping.ts';

const introduction = (
  database: string,
) => `# Where this app keeps its credits, for pg-credits diagnose and adopt.
# Database: ${JSON.stringify(database)}. All but table and name are SQL expressions over the table's
# columns, so that a wrong guess, another sign or another unit is put right here. Each part may have
# a where, an expression too.
`;

const plain = /^[a-z_][a-z0-9_.]*$/;
// As a bare word these would be no text.
const reserved = /^(true|false|null|yes|no|on|off|y|n)$/;
const scalar = (text: string) =>
  plain.test(text) && !reserved.test(text) ? text : JSON.stringify(text);

const comments: Record<string, string> = {
  amount: 'what it added to the balance: a debit must be negative, and all whole numbers',
  created_at: 'the order of the transactions; those of the same moment go by transaction_id',
  balance_after: 'the balance right after it; leave it out if it is something else',
  kind: "a refund is where it is 'refund' or 'REFUND'; if yours has another name: is_refund: kind = 'reversal'",
  refunded_transaction_id: 'of a refund: which debit it gives back',
  reference: 'two of an account with the same one are the same, booked twice: is it so?',
  api_key_id: 'null where a debit named none',
  balance: 'what the app shows and checks',
  where: 'what the app has marked as deleted is left out: is it so?',
  counts: 'credits, or calls if each call adds 1 whatever it costs',
  since: 'from when on it counts',
};

const list = (of: object, indent: string) =>
  Object.entries(of).map(([name, text]) => {
    const comment =
      comments[name] && !('counts' in of && name === 'api_key_id') ? ` # ${comments[name]}` : '';
    return `${indent}${name}: ${scalar(String(text))}${comment}`;
  });

/** The file, with what to check beside each guess. */
export function writeMapping(mapping: Mapping, database: string, hasDebits: boolean): string {
  const { accounts, balances, transactions, counters } = mapping;
  const part = (name: string, of: object | undefined, without: string[]) =>
    of ? [`${name}:`, ...list(of, '  ')] : without;
  const signs = hasDebits
    ? []
    : [
        '# No amount is negative here. If debits are told by their kind, for example:',
        `#   amount: "case when kind = 'usage' then -amount else amount end"`,
      ];
  return [
    introduction(database),
    ...part('accounts', accounts, ['# accounts: { table: public.users, account_id: id }']),
    '',
    ...part('balances', balances, [
      '# No table with one balance for each account was found.',
      '# balances: { table: public.user_credits, account_id: user_id, balance: balance }',
    ]),
    '',
    ...signs,
    ...part('transactions', transactions, []),
    '',
    ...(counters.length > 0
      ? ['# What else the app counts, and shows, invoices or checks.', 'counters:']
      : ['# No counter was found.', 'counters: []']),
    ...counters.flatMap((counter) =>
      list(counter, '    ').map((line, i) => (i === 0 ? line.replace('    ', '  - ') : line)),
    ),
    '',
  ].join('\n');
}

/** To fill in: where no table was found. */
export const template = (database: string): string => `${introduction(database)}
# No table looked like one of credit transactions. Take away the # of what there is, and put in
# your own names.

# transactions:
#   table: public.credit_transactions
#   account_id: user_id
#   transaction_id: id
#   amount: amount # ${comments.amount}
#   created_at: created_at
#   balance_after: balance_after # ${comments.balance_after}
#   kind: kind # ${comments.kind}
#   reference: reference # ${comments.reference}
#   api_key_id: api_key_id # ${comments.api_key_id}

# accounts:
#   table: public.users
#   account_id: id

# balances:
#   table: public.user_credits
#   account_id: user_id
#   balance: balance

# counters:
#   - name: monthly_calls_count
#     table: public.api_keys
#     account_id: user_id
#     api_key_id: id
#     value: monthly_calls_count
#     counts: credits # ${comments.counts}
#     since: period_start # ${comments.since}
`;

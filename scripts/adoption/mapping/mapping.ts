import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { codeOf, Failure } from '../../shell/explain.ts';

/** Where an app keeps its credits. All but `table` and `name` are SQL expressions over the table's columns. */
export interface Mapping {
  accounts?: AccountsMapping;
  balances?: BalancesMapping;
  transactions: TransactionsMapping;
  counters: CounterMapping[];
}

interface Source {
  table: string;
  account_id: string;
  /** Only the rows for which it is true. */
  where?: string;
}

export interface AccountsMapping extends Source {
  unit?: string;
  scale?: string;
  time_zone?: string;
  anchor_day?: string;
}

export interface BalancesMapping extends Source {
  balance: string;
}

export interface TransactionsMapping extends Source {
  transaction_id: string;
  /** What it added to the balance: a debit is negative. */
  amount: string;
  created_at: string;
  balance_after?: string;
  /** Whether it gives back what a debit took; without it, whether kind is 'refund', in capitals or not. */
  is_refund?: string;
  refunded_transaction_id?: string;
  kind?: string;
  /** Two transactions of an account with the same one are one, booked twice. */
  reference?: string;
  api_key_id?: string;
  operation?: string;
  run_id?: string;
}

export interface CounterMapping extends Source {
  name: string;
  value: string;
  counts: 'credits' | 'calls';
  /** A counter for each API key; without it, for each account. */
  api_key_id?: string;
  /** From when on it counts; without it, from the beginning. */
  since?: string;
}

const optional = (names: string) => Object.fromEntries(names.split(' ').map((n) => [n, false]));
const required = (names: string) => Object.fromEntries(names.split(' ').map((n) => [n, true]));

/** What each part may have, and must have. */
const parts: Record<string, Record<string, boolean>> = {
  accounts: {
    ...required('table account_id'),
    ...optional('where unit scale time_zone anchor_day'),
  },
  balances: { ...required('table account_id balance'), ...optional('where') },
  transactions: {
    ...required('table account_id transaction_id amount created_at'),
    ...optional('where balance_after is_refund refunded_transaction_id kind reference'),
    ...optional('api_key_id operation run_id'),
  },
  counters: {
    ...required('name table account_id value counts'),
    ...optional('where api_key_id since'),
  },
};

/** The file, or a Failure with a line for everything that is wrong with it. */
export function readMapping(file: string): Mapping {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Failure(
      codeOf(error) === 'ENOENT'
        ? `there is no mapping ${file}: pg-credits diagnose --init writes a first one`
        : `the mapping cannot be read: ${(error as Error).message}`,
    );
  }
  return parseMapping(text, file);
}

/** YAML, of which JSON is a part. */
export function parseMapping(text: string, file = 'the mapping'): Mapping {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw new Failure(`${file}: ${(error as Error).message.split('\n', 1)[0]?.replace(/:$/, '')}`);
  }
  if (!isObject(value)) throw new Failure(`${file}: it has no transactions`);
  const counters = value.counters ?? [];
  const problems = checkParts(value, counters);
  if (problems.length > 0)
    throw new Failure(problems.map((problem) => `${file}: ${problem}`).join('\n'));
  return { ...value, counters } as unknown as Mapping;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function checkParts(mapping: Record<string, unknown>, counters: unknown): string[] {
  const problems = Object.keys(mapping)
    .filter((name) => !Object.hasOwn(parts, name))
    .map((name) => `unknown part ${name}: there are ${Object.keys(parts).join(', ')}`);
  if (!isObject(mapping.transactions)) problems.push('it has no transactions');
  for (const name of ['accounts', 'balances', 'transactions'] as const)
    if (mapping[name] !== undefined) problems.push(...checkPart(name, name, mapping[name]));
  if (!Array.isArray(counters)) return [...problems, 'counters must be a list'];
  counters.forEach((counter, i) => {
    const at = isObject(counter) && counter.name ? `counter ${counter.name}` : `counter ${i + 1}`;
    problems.push(...checkPart('counters', at, counter));
    if (isObject(counter) && !['credits', 'calls', undefined].includes(counter.counts as string))
      problems.push(`${at}: counts is credits or calls, not ${counter.counts}`);
    if (isObject(counter) && counters.findIndex((each) => each?.name === counter.name) < i)
      problems.push(`${at}: there is another of this name`);
  });
  return problems;
}

function checkPart(part: string, at: string, value: unknown): string[] {
  const known = parts[part] ?? {};
  if (!isObject(value)) return [`${at}: ${Object.keys(known).join(', ')} are wanted`];
  const problems = Object.entries(known)
    .filter(([name, isRequired]) => isRequired && value[name] === undefined)
    .map(([name]) => `${at}: ${name} is missing`);
  for (const [name, each] of Object.entries(value)) {
    if (!Object.hasOwn(known, name))
      problems.push(`${at}: unknown ${name}: there are ${Object.keys(known).join(', ')}`);
    else if (typeof each !== 'string' || each.trim() === '')
      problems.push(`${at}: ${name} is not a text: write it in quotes`);
  }
  return problems;
}

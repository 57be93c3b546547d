import { connect } from '../../scripts/postgres/connect.ts';
import { flushCommits, runSql } from './database.ts';
import { batches } from './growth/batches.ts';
import { dueThings } from './growth/due.ts';
import { history } from './growth/history.ts';
import { holds } from './growth/holds.ts';
import { ledger } from './growth/ledger.ts';
import type { Group, Question } from './growth/question.ts';
import { measureLevels } from './levels.ts';
import type { Levels } from './levels-report.ts';
import { checkRoom } from './load.ts';
import type { Setting } from './setting.ts';

const groups: Group[] = [holds, batches, dueThings, history, ledger];

export interface Growth {
  questions: Question[];
  levels?: Levels;
}

/** How cost grows with what lies around a call: each group of questions in a database of its own. */
export async function measureGrowth(setting: Setting): Promise<Growth> {
  const { only } = setting.options;
  const isChosen = (id: string) => (only ?? [id]).includes(id);
  await checkRoom(setting.scratch.admin, []);
  const questions: Question[] = [];
  for (const group of groups.filter(({ id }) => isChosen(id)))
    questions.push(...(await measureGroup(setting, group)));
  if (!isChosen('levels')) return { questions };
  return { questions, levels: await measureLevels(setting) };
}

async function measureGroup(setting: Setting, group: Group): Promise<Question[]> {
  const { scratch, options, progress, signal } = setting;
  const url = await scratch.create();
  const setup = await connect({ connectionString: url });
  try {
    await flushCommits(setup, false);
    await runSql(setup, 'growth/accounts.sql');
  } finally {
    await setup.end();
  }
  const client = await connect({ connectionString: url });
  const say = (what: string) => {
    signal.throwIfAborted();
    progress.say(`${group.id}: ${what}`);
  };
  try {
    return await group.measure({
      client,
      load: (name) => runSql(client, name),
      size: (rows) => (options.quick ? Math.max(1, rows / 100) : rows),
      rounds: options.rounds,
      say,
    });
  } finally {
    await client.end().catch(() => {});
  }
}

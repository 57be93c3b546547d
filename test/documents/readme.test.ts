import { spawnSync } from 'node:child_process';
import { useDatabase } from '../support/database.ts';
import { testDocument } from '../support/document.ts';

const db = useDatabase();
const empty = useDatabase({ empty: true });
const app = () => `${empty.rolePrefix}my_app`;

testDocument('README.md', {
  // Its commands are this suite and test/tools/demo.test.ts.
  'See it': {
    env: () => ({}),
    instead: { 'npm ci && npm run demo': '', 'npm ci && npm test': '' },
  },
  'One call and its rows': { sql: (statement) => db.query(statement) },
  'Install and deploy': {
    needs: () => (spawnSync('psql', ['--version']).error ? 'there is no psql here' : undefined),
    before: () => empty.query(`create role ${app()}`),
    env: () => {
      const prefix = empty.rolePrefix;
      const SPENDER = `${prefix}credits_spender`;
      return { DATABASE_URL: empty.url, PREFIX: prefix, SPENDER, APP: app() };
    },
    instead: {
      'npm install pg-credits': '', // tools/ci/package.ts does
      'npx pg-credits deploy --database-url "$DATABASE_URL" --wait 30':
        'npx pg-credits deploy --database-url "$DATABASE_URL" --wait 30 --role-prefix "$PREFIX"',
      'psql "$DATABASE_URL" -c \'grant credits_spender to my_app\'':
        'psql "$DATABASE_URL" -c "grant $SPENDER to $APP"',
    },
    finally: () => empty.query(`drop role if exists ${app()}`),
  },
});

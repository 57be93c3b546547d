// Every environment variable that the tests read.

const { env } = process;

/** A given server: the tests use databases and roles of their own in it, and drop them at the end. */
export const databaseUrl = env.DATABASE_URL;

/** `url`, `docker` or `embedded`: forces one; else the first of these that there is. */
export const server = env.PG_CREDITS_TEST_SERVER;
/** The major version of the embedded server. */
export const embeddedMajor = Number(env.PG_CREDITS_TEST_MAJOR ?? 18);
/** The image that Docker runs. */
export const image = env.PG_CREDITS_TEST_IMAGE ?? 'postgres:18-alpine';
/** Anything, to send the queries of the tests through pgbouncer in transaction mode. */
export const pooler = env.PG_CREDITS_TEST_POOLER;

/** The seed of all random numbers, as the failure of a random test names it. */
export const seed = env.PG_CREDITS_TEST_SEED;
/** How many histories test/model plays. */
export const modelRuns = Number(env.PG_CREDITS_TEST_RUNS ?? 80);
/** With the seed, the shortened history of test/model that failed. */
export const modelPath = env.PG_CREDITS_TEST_PATH;
/** How many steps of a deploy test/deploy/killed kills: a number, or `all`. */
export const killedSteps = env.PG_CREDITS_TEST_STEPS ?? '1';
/** The size of the legacy ledger that test/adoption/diagnose/legacy makes. */
export const legacyAccounts = Number(env.PG_CREDITS_TEST_ACCOUNTS ?? 200);
export const legacyTransactions = Number(env.PG_CREDITS_TEST_TRANSACTIONS ?? legacyAccounts * 40);

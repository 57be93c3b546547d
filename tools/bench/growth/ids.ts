/** What `growth --only` knows: the levels, which pgbench or its like measures, and groups of questions. */
export const groupIds = ['levels', 'holds', 'batches', 'due', 'history', 'ledger'];

-- What a guard runs. Guards stop mistakes, of the tables' owner too; privileges stop callers. The
-- arguments of the trigger are the promise that it guards and the table (tg_table_name is the name
-- of a shard on a distributed table).
--
-- A guard's columns and WHEN clause decide, and the function runs only to refuse: guards that ran a
-- function for each update cost a deduction 9 to 18 % of its throughput. The clauses are short, as
-- Postgres copies all of a table's, and parses those that apply, for each statement.
create or replace function credits_private.refuse_change() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform credits_private.raise_error('23514', 'a change by hand is refused',
    jsonb_build_object('table', tg_argv[1], 'change', lower(tg_op)),
    'The ledger is written by the functions of the schema credits. To correct a mistake, book the '
      'opposite: grant, deduct or refund.',
    tg_argv[0]);
  return null;
end
$$;

revoke all on function credits_private.refuse_change() from public;

-- Each promise has a check of its own, credits_private.check_<promise>, and credits.discrepancies is
-- their union. Five views held the checks of several promises. This file calls nothing of sql/ and is
-- never edited once it has been released.
--
-- The five are renamed, not dropped: credits.discrepancies reads them until sql/ replaces it, and an
-- app may have a view of its own on that one. sql/ gives each its new contents.

alter view if exists credits_private.account_faults rename to check_every_change_has_an_entry;
alter view if exists credits_private.entry_faults rename to check_entries_are_immutable;
alter view if exists credits_private.grant_faults rename to check_grants_equal_ledger;
alter view if exists credits_private.hold_faults rename to check_held_equals_open_holds;
alter view if exists credits_private.key_faults rename to check_a_key_has_one_answer;

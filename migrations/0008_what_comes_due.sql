-- From here on, the view credits_private.due says what comes due. This file calls nothing of sql/
-- and is never edited once it has been released.
--
-- first_due had the end of the period as an argument. Now the view has it.

drop function if exists credits_private.first_due(text, timestamptz, timestamptz);

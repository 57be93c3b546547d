-- What comes due is told by the view credits_private.due from here on. This file calls nothing of sql/
-- and is never edited once it has been released.
--
-- first_due was told when the period ends. Now the view says so.

drop function if exists credits_private.first_due(text, timestamptz, timestamptz);

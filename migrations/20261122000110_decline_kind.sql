-- Whose turn it is after a decline: the buyer's, or the shop's whose keys or contract were refused. NULL where a release
-- that did not ask wrote the decline, and means the buyer's.
ALTER TABLE payments ADD COLUMN decline_kind text CHECK (decline_kind IN ('buyer', 'configuration'));

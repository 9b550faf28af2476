-- Counts what was decided about a payment, and who asked the provider about it while the answer may turn (a deposit can be
-- taken back): a decision made from an older version is written by nobody. Its status alone would not do: awaiting_deposit
-- and done come again.
ALTER TABLE payments ADD COLUMN version integer NOT NULL DEFAULT 0;

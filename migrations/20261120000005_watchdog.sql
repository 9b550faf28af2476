-- Effects that do not come. An event that was published counts as taken once each of its consumers has claimed it in its
-- inbox. The watchdog looks at every event once, some time after it was published, and puts those that lack an effect back
-- among the unpublished ones.

ALTER TABLE outbox
    -- How often the watchdog has put it back.
    ADD COLUMN republished smallint NOT NULL DEFAULT 0,
    -- Set while an effect is missing: when the watchdog looks again.
    ADD COLUMN look_at timestamptz;

-- What the watchdog has not looked at yet is the end of this index, however long the rest has become. A B-tree, since pruning
-- makes room all over the table: block ranges soon hold old and new events, and a BRIN would say "maybe" to all of them.
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL AND look_at IS NULL;
CREATE INDEX outbox_missed ON outbox (look_at) WHERE published_at IS NOT NULL AND look_at IS NOT NULL;

-- One row. Events published until then have been looked at.
CREATE TABLE watchdog (
    one_row      boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    looked_until timestamptz NOT NULL
);
INSERT INTO watchdog (looked_until) VALUES ('-infinity');

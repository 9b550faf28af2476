-- The provider's list of transactions against our book, a day at a time. A row is first a claim: one process compares.
CREATE TABLE statements (
    -- In Korea, as the provider counts days.
    day           date PRIMARY KEY,
    claimed_until timestamptz NOT NULL,
    compared_at   timestamptz,
    -- Won that moved that day, what was given back subtracted: by our book, by the provider's.
    ours          bigint,
    theirs        bigint,
    -- Payments whose movements differ.
    differences   integer,
    CONSTRAINT statements_compared CHECK
        ((compared_at IS NOT NULL) = (ours IS NOT NULL AND theirs IS NOT NULL AND differences IS NOT NULL))
);

-- What was taken and given back on a day.
CREATE INDEX payments_approved ON payments USING brin (approved_at);
CREATE INDEX refunds_given_back ON refunds USING brin (done_at);
-- What waits for a person: as good as empty.
CREATE INDEX payments_attention ON payments (asked_at) WHERE attention IS NOT NULL;

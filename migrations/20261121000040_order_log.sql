-- Which states an order went through, and why: what the audit compares its state with, and what a person reads when a
-- buyer calls. Written by the statement that changes the state. Rows are only ever added.
CREATE TABLE order_log (
    order_id    uuid NOT NULL,
    -- Drawn while the order's row is locked, so that the order of ids is the order of events.
    id          bigint GENERATED ALWAYS AS IDENTITY,
    at          timestamptz NOT NULL DEFAULT now(),
    -- Null in the first row of an order that is older than this log.
    from_status text,
    to_status   text NOT NULL,
    -- The payment that it happened to the order through, if any.
    payment_id  uuid,
    -- What settled it: 'claimed', the payment's new state, the provider's code of a refusal, 'buyer', 'overdue'.
    cause       text NOT NULL,
    -- One index, and no foreign key: this is written twice for every purchase.
    PRIMARY KEY (order_id, id),
    CONSTRAINT order_log_first CHECK (from_status IS NOT NULL OR cause = 'before the log')
);
-- What happened to orders lately.
CREATE INDEX order_log_age ON order_log USING brin (at);
INSERT INTO order_log (order_id, to_status, cause)
SELECT id, status, 'before the log' FROM orders WHERE status <> 'pending';

-- Money that goes back, money that came for nothing, and goods that come back.

-- excess: the money came when its goods had gone to others. It does not pay the order, and is owed to the buyer.
ALTER TABLE payments
    DROP CONSTRAINT payments_status_check,
    DROP CONSTRAINT payments_done,
    DROP CONSTRAINT payments_settled;
ALTER TABLE payments
    ADD CONSTRAINT payments_status_check CHECK (status IN
        ('confirming', 'awaiting_deposit', 'done', 'excess', 'declined', 'canceled')),
    ADD CONSTRAINT payments_done CHECK ((status IN ('done', 'excess')) = (approved_at IS NOT NULL)),
    ADD CONSTRAINT payments_settled CHECK ((status IN ('done', 'excess', 'declined', 'canceled')) = (settled_at IS NOT NULL)),
    -- The sum of its refunds that are done.
    ADD COLUMN refunded_amount bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT payments_refunded CHECK
        (CASE WHEN status IN ('done', 'excess') THEN refunded_amount BETWEEN 0 AND amount ELSE refunded_amount = 0 END),
    -- How often the bank took a deposit back that had paid.
    ADD COLUMN reversals smallint NOT NULL DEFAULT 0 CHECK (reversals >= 0),
    -- Where a deposit goes if it has to go back: what the buyer said in the payment window.
    ADD COLUMN refund_bank text,
    ADD COLUMN refund_account text,
    ADD COLUMN refund_holder text,
    ADD CONSTRAINT payments_refund_account CHECK (num_nulls(refund_bank, refund_account, refund_holder) IN (0, 3));

-- When the goods of a refunded order went back to the shelf.
ALTER TABLE orders
    ADD COLUMN restocked_at timestamptz,
    ADD CONSTRAINT orders_restocked CHECK (restocked_at IS NULL OR status = 'refunded');

-- What an event sold is sold once and comes back once. (An order whose deposit is taken back may be sold again, by another event.)
DROP INDEX stock_ledger_sold_once;
CREATE UNIQUE INDEX stock_ledger_once ON stock_ledger (order_id, product_id, event_id, kind) WHERE kind IN ('sold', 'returned');

-- One row per refund, written before the provider is asked.
CREATE TABLE refunds (
    id              uuid PRIMARY KEY,
    order_id        uuid NOT NULL REFERENCES orders (id),
    payment_id      uuid NOT NULL REFERENCES payments (id),
    amount          bigint NOT NULL CHECK (amount BETWEEN 1 AND 100000000000),
    -- What the provider must still hold when it gives this back; sent along, so that no second refund slips in between.
    refundable      bigint NOT NULL CHECK (refundable >= amount),
    -- Shown to the buyer.
    reason          text NOT NULL CHECK (length(reason) <= 200),
    origin          text NOT NULL CHECK (origin IN ('operator', 'system', 'console')),
    restock         boolean NOT NULL DEFAULT false,
    -- The buyer's own account, for a deposit; never shown.
    account_bank    text,
    account_number  text,
    account_holder  text,
    status          text NOT NULL DEFAULT 'requested' CHECK (status IN ('requested', 'done', 'failed')),
    -- Who asked for it, under which Idempotency-Key.
    requested_by    text,
    request_key     text CHECK (length(request_key) BETWEEN 1 AND 255),
    -- When the reconciler should look into it; set exactly while the outcome is open.
    next_check_at   timestamptz,
    checks          smallint NOT NULL DEFAULT 0,
    -- Why a person has to look at it. Forgotten when the money has gone back another way.
    attention       text,
    -- The provider's name for it.
    transaction_key text,
    done_at         timestamptz,
    failure_code    text,
    failure_message text,
    traceparent     text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    settled_at      timestamptz,
    CONSTRAINT refunds_request UNIQUE (order_id, request_key),
    CONSTRAINT refunds_transaction UNIQUE (payment_id, transaction_key),
    CONSTRAINT refunds_account CHECK (num_nulls(account_bank, account_number, account_holder) IN (0, 3)),
    CONSTRAINT refunds_open CHECK ((status = 'requested') = (next_check_at IS NOT NULL)),
    CONSTRAINT refunds_done CHECK ((status = 'done') = (transaction_key IS NOT NULL) AND (status = 'done') = (done_at IS NOT NULL)),
    CONSTRAINT refunds_failed CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CONSTRAINT refunds_settled CHECK ((status = 'requested') = (settled_at IS NULL))
);
-- Two refunds that do not know of each other's outcome could give back too much.
CREATE UNIQUE INDEX refunds_one_open ON refunds (payment_id) WHERE status = 'requested';
CREATE INDEX refunds_payment ON refunds (payment_id);
CREATE INDEX refunds_order ON refunds (order_id);
CREATE INDEX refunds_due ON refunds (next_check_at) WHERE next_check_at IS NOT NULL;

-- How long after the so-many-th look the next one comes: 20 s, 1, 2, 4, 8, 11 minutes, hourly for a day, then daily.
CREATE FUNCTION check_after(checks smallint) RETURNS interval LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN checks < 6 THEN make_interval(secs => (ARRAY[20, 60, 120, 240, 480, 660])[checks + 1])
        WHEN checks < 30 THEN interval '1 hour'
        ELSE interval '1 day' END
$$;

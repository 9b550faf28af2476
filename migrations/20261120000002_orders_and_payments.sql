-- What was ordered and how it was paid.
--
-- Lock order, everywhere: stock rows by product id, then orders by id, then payments. Whoever takes more than one
-- kind takes them in this order, so that no two transactions wait for each other.

CREATE TABLE orders (
    id              uuid PRIMARY KEY,
    customer_id     uuid NOT NULL REFERENCES customers (id),
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN
        ('pending', 'confirming', 'awaiting_deposit', 'paid', 'refunding', 'refunded', 'expired', 'canceled')),
    -- What the payment window shows.
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- Frozen when the order was made.
    amount          bigint NOT NULL CHECK (amount BETWEEN 1 AND 100000000000),
    currency        text NOT NULL DEFAULT 'KRW' CHECK (currency = 'KRW'),
    provider        text NOT NULL DEFAULT 'toss' CHECK (provider IN ('toss')),
    customer_email  text CHECK (length(customer_email) <= 254),
    -- SHA-256 of lines, prices and e-mail: the same unpaid cart is the same order.
    cart_hash       bytea NOT NULL CHECK (length(cart_hash) = 32),
    -- Payments begun so far. The provider sees attempt n under an order id of its own.
    attempts        smallint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    payment_key     text,
    paid_at         timestamptz,
    refunded_amount bigint NOT NULL DEFAULT 0 CHECK (refunded_amount BETWEEN 0 AND amount),
    created_at      timestamptz NOT NULL DEFAULT now(),
    -- When an unpaid order stops being payable.
    expires_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT orders_paid_at CHECK ((status IN ('paid', 'refunding', 'refunded')) = (paid_at IS NOT NULL)),
    CONSTRAINT orders_payment_key CHECK
        ((status IN ('confirming', 'awaiting_deposit', 'paid', 'refunding', 'refunded')) = (payment_key IS NOT NULL)),
    CONSTRAINT orders_refunded CHECK
        (CASE status WHEN 'refunded' THEN refunded_amount = amount WHEN 'paid' THEN true WHEN 'refunding' THEN true
         ELSE refunded_amount = 0 END)
) WITH (fillfactor = 80); -- every order is updated twice

CREATE INDEX orders_customer ON orders (customer_id, created_at DESC);
-- The same buyer asking for the same cart gets the order that is still open.
CREATE UNIQUE INDEX orders_open_cart ON orders (customer_id, cart_hash) WHERE status IN ('pending', 'confirming');
CREATE INDEX orders_expiring ON orders (expires_at) WHERE status = 'pending';

CREATE TABLE order_lines (
    order_id   uuid NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    product_id uuid NOT NULL REFERENCES products (id),
    name       text NOT NULL,
    unit_price bigint NOT NULL CHECK (unit_price BETWEEN 0 AND 100000000000),
    quantity   integer NOT NULL CHECK (quantity BETWEEN 1 AND 9999),
    PRIMARY KEY (order_id, product_id)
);

-- What a client already asked for under its Idempotency-Key. The answer itself is the order.
CREATE TABLE idempotency_keys (
    customer_id  uuid NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    -- SHA-256 of the request: the same key with another body is a client's bug.
    request_hash bytea NOT NULL CHECK (length(request_hash) = 32),
    order_id     uuid NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys USING brin (created_at);

-- One row per attempt, written before the provider is asked.
CREATE TABLE payments (
    id                uuid PRIMARY KEY,
    order_id          uuid NOT NULL REFERENCES orders (id),
    attempt           smallint NOT NULL CHECK (attempt >= 1),
    provider          text NOT NULL DEFAULT 'toss' CHECK (provider IN ('toss')),
    -- What the provider knows this attempt by: the bare order id, then order-2, order-3, ...
    provider_order_id text NOT NULL GENERATED ALWAYS AS
        (CASE attempt WHEN 1 THEN order_id::text ELSE order_id::text || '-' || attempt::text END) STORED,
    payment_key       text NOT NULL CHECK (length(payment_key) BETWEEN 1 AND 200),
    payment_type      text NOT NULL,
    amount            bigint NOT NULL CHECK (amount BETWEEN 1 AND 100000000000),
    currency          text NOT NULL DEFAULT 'KRW' CHECK (currency = 'KRW'),
    status            text NOT NULL DEFAULT 'confirming' CHECK (status IN
        ('confirming', 'awaiting_deposit', 'done', 'declined', 'canceled')),
    asked_at          timestamptz NOT NULL DEFAULT now(),
    -- When the reconciler should ask the provider about it; set exactly while the outcome is open.
    next_check_at     timestamptz,
    checks            smallint NOT NULL DEFAULT 0,
    -- Why a person has to look at it, if evidence alone cannot settle it.
    attention         text,
    method            text,
    approved_at       timestamptz,
    receipt_url       text,
    decline_code      text,
    decline_message   text,
    deposit_bank      text,
    deposit_account   text,
    deposit_due_at    timestamptz,
    -- Repeated by the provider in its deposit webhook; compared, never shown.
    deposit_secret    text,
    -- W3C trace context of the click, so that work done later joins its trace.
    traceparent       text,
    settled_at        timestamptz,
    CONSTRAINT payments_attempt UNIQUE (order_id, attempt),
    CONSTRAINT payments_key UNIQUE (provider, payment_key),
    CONSTRAINT payments_done CHECK ((status = 'done') = (approved_at IS NOT NULL)),
    CONSTRAINT payments_declined CHECK ((status = 'declined') = (decline_code IS NOT NULL)),
    -- A deposit that came keeps its account: refunds and inquiries need it.
    CONSTRAINT payments_deposit CHECK (CASE status WHEN 'awaiting_deposit' THEN deposit_due_at IS NOT NULL
        WHEN 'confirming' THEN deposit_due_at IS NULL ELSE true END),
    CONSTRAINT payments_open CHECK ((status IN ('confirming', 'awaiting_deposit')) = (next_check_at IS NOT NULL)),
    CONSTRAINT payments_settled CHECK ((status IN ('done', 'declined', 'canceled')) = (settled_at IS NOT NULL))
) WITH (fillfactor = 80);

-- At most one attempt of an order may hold money or be about to.
CREATE UNIQUE INDEX payments_one_live ON payments (order_id) WHERE status IN ('confirming', 'awaiting_deposit', 'done');
CREATE INDEX payments_due ON payments (next_check_at) WHERE next_check_at IS NOT NULL;

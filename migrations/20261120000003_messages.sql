-- Events out, messages in, notifications to phones.

-- Written in the transaction of the change that it announces. Published at least once, by whoever runs the relay.
CREATE TABLE outbox (
    -- Derived from the payment and the type, so that announcing the same thing twice is a conflict.
    id           uuid PRIMARY KEY,
    type         text NOT NULL CHECK (type IN ('checkout-success', 'checkout-failed', 'checkout-refunded')),
    order_id     uuid NOT NULL REFERENCES orders (id),
    payment_id   uuid NOT NULL REFERENCES payments (id),
    -- The JSON body as text: published byte for byte as it was written.
    data         text NOT NULL,
    traceparent  text,
    occurred_at  timestamptz NOT NULL DEFAULT now(),
    -- While a relay is publishing it, and for a while after a failure: not before this time by any other.
    claimed_until timestamptz,
    published_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX outbox_unpublished ON outbox (occurred_at) WHERE published_at IS NULL;
CREATE INDEX outbox_order ON outbox (order_id);
CREATE INDEX outbox_age ON outbox USING brin (occurred_at);

-- What each consumer has already acted upon.
CREATE TABLE inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_age ON inbox USING brin (at);

-- The embedded message engine: one row per message and subscription, deleted when acknowledged.
CREATE TABLE deliveries (
    -- The message's id, new with every publish, as with any Pub/Sub.
    id           uuid PRIMARY KEY,
    subscription text NOT NULL,
    -- What the publisher may repeat without the message being delivered twice.
    dedup_key    text NOT NULL,
    data         bytea NOT NULL,
    attributes   jsonb NOT NULL DEFAULT '{}',
    published_at timestamptz NOT NULL DEFAULT now(),
    attempts     integer NOT NULL DEFAULT 0,
    -- Not before this time; while a broker holds it, the end of its lease.
    due_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT deliveries_dedup UNIQUE (subscription, dedup_key)
) WITH (fillfactor = 70);
-- By subscription first: the backlog of one must not be waded through to find what is due for another.
CREATE INDEX deliveries_due ON deliveries (subscription, due_at);

-- Where a customer is reached.
CREATE TABLE messaging_tokens (
    id              uuid PRIMARY KEY,
    customer_id     uuid NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    -- FCM's two ways of naming a device: registration token, installation id.
    kind            text NOT NULL DEFAULT 'token' CHECK (kind IN ('token', 'fid')),
    token           text NOT NULL CHECK (length(token) BETWEEN 1 AND 4096),
    locale          text NOT NULL DEFAULT 'ko' CHECK (locale IN ('ko', 'en')),
    user_agent      text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    -- Moved on every registration, changed or not: a deletion that raced with it must lose.
    updated_at      timestamptz NOT NULL DEFAULT now(),
    last_success_at timestamptz,
    -- A device has one owner. When another customer signs in on it, it moves.
    CONSTRAINT messaging_tokens_device UNIQUE (kind, token)
);
CREATE INDEX messaging_tokens_customer ON messaging_tokens (customer_id);

-- One row per event and device: planned in the inbox transaction, sent outside it.
CREATE TABLE push_attempts (
    event_id   uuid NOT NULL,
    -- No foreign key: the attempt outlives the device.
    device_id  uuid NOT NULL,
    order_id   uuid NOT NULL,
    status     text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'sent', 'gone', 'gave_up')),
    attempts   integer NOT NULL DEFAULT 0,
    -- Answers that never came, or left it open: each may have been a notification on the phone.
    -- Counted with the attempt and taken back by a clear answer, so that a crash in between stays counted.
    unknowns   integer NOT NULL DEFAULT 0,
    -- Not before this time; while a sender holds it, the end of its lease. Set exactly while pending.
    due_at     timestamptz DEFAULT now(),
    last_error text,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, device_id),
    CONSTRAINT push_attempts_due CHECK ((status = 'pending') = (due_at IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX push_attempts_pending ON push_attempts (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX push_attempts_order ON push_attempts (order_id);

-- What no consumer could take. Bytes, because a NUL that jsonb refuses must not become an endless retry.
CREATE TABLE dead_letters (
    id                uuid PRIMARY KEY,
    -- Null when the message does not carry one that can be read.
    event_id          uuid,
    source            text NOT NULL,
    message_id        text,
    data              bytea NOT NULL,
    attributes        jsonb NOT NULL DEFAULT '{}',
    reason            text NOT NULL,
    delivery_attempts integer,
    received_at       timestamptz NOT NULL DEFAULT now(),
    status            text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'replayed', 'discarded')),
    resolved_at       timestamptz,
    resolved_by       text,
    resolution        text,
    CONSTRAINT dead_letters_resolved CHECK ((status = 'open') = (resolved_at IS NULL))
);
CREATE INDEX dead_letters_open ON dead_letters (received_at) WHERE status = 'open';
-- The engine may deliver the same message more than once. The id alone is not enough: Google's emulator starts again at 1.
CREATE UNIQUE INDEX dead_letters_once ON dead_letters (source, message_id, sha256(data)) WHERE message_id IS NOT NULL;

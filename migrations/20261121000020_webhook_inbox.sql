-- What a provider told us unasked, byte for byte. Only ever a reason to go and ask: nothing in here is believed.
CREATE TABLE webhook_inbox (
    id                uuid PRIMARY KEY,
    provider          text NOT NULL DEFAULT 'toss' CHECK (provider IN ('toss')),
    -- Bytes, because a NUL that jsonb refuses must not become an endless retry.
    body              bytea NOT NULL,
    -- The same words again are the same webhook again. The provider does not say whether its transmission id survives a re-send.
    body_hash         bytea NOT NULL GENERATED ALWAYS AS (sha256(body)) STORED,
    transmission_id   text,
    -- As it was written: the signature is made of the very text.
    transmission_time text,
    signature         text,
    -- Who brought it, as far as that is known.
    source            inet,
    -- How often it came, and when last.
    receipts          integer NOT NULL DEFAULT 1,
    received_at       timestamptz NOT NULL DEFAULT now(),
    status            text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'done', 'ignored')),
    -- Why it came to nothing, or how far it got.
    reason            text,
    -- The payment that it led to. No foreign key: a hint must not lock what it hints at.
    payment_id        uuid,
    -- When the provider was asked about that payment because of it.
    asked_at          timestamptz,
    attempts          integer NOT NULL DEFAULT 0,
    -- Not before this time; while a worker holds it, the end of its lease. Set exactly while pending.
    due_at            timestamptz DEFAULT now(),
    CONSTRAINT webhook_inbox_once UNIQUE (provider, body_hash),
    CONSTRAINT webhook_inbox_due CHECK ((status = 'pending') = (due_at IS NOT NULL)),
    CONSTRAINT webhook_inbox_ignored CHECK (status <> 'ignored' OR reason IS NOT NULL)
) WITH (fillfactor = 80);
CREATE INDEX webhook_inbox_pending ON webhook_inbox (due_at) WHERE due_at IS NOT NULL;
-- When a payment was last asked about, and what was said of it.
CREATE INDEX webhook_inbox_payment ON webhook_inbox (payment_id, asked_at) WHERE payment_id IS NOT NULL;
CREATE INDEX webhook_inbox_age ON webhook_inbox USING brin (received_at);

-- Members: customers whom the shop's own identity provider vouches for. Of a person nothing is kept but the name that the
-- provider uses for them.
CREATE TABLE members (
    customer_id  uuid PRIMARY KEY REFERENCES customers (id),
    -- Who vouches, and for whom: a subject means nothing without its issuer.
    issuer       text NOT NULL CHECK (length(issuer) BETWEEN 1 AND 500),
    subject      text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    created_at   timestamptz NOT NULL DEFAULT now(),
    signed_in_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT members_identity UNIQUE (issuer, subject)
);

-- A member's session ends half an hour after it was last used (expires_at), and twelve hours after it began.
ALTER TABLE sessions ADD COLUMN member boolean NOT NULL DEFAULT false;

-- Sign-ins that have gone to the provider and are not back. Each may come back once, to the browser that it left.
CREATE TABLE sign_ins (
    -- SHA-256 of `state`, which travels by way of the browser.
    state_hash   bytea PRIMARY KEY CHECK (length(state_hash) = 32),
    -- The session that the browser had when it left.
    session_hash bytea NOT NULL CHECK (length(session_hash) = 32),
    nonce        text NOT NULL,
    -- PKCE: shows the provider that who brings the code is who asked for it.
    verifier     text NOT NULL,
    -- A path of our own.
    return_to    text NOT NULL CHECK (return_to ~ '^/([^/]|$)' AND length(return_to) <= 500),
    expires_at   timestamptz NOT NULL DEFAULT now() + interval '10 minutes'
);
CREATE INDEX sign_ins_age ON sign_ins (expires_at);

GRANT SELECT, INSERT ON members TO jumun_checkout;
GRANT UPDATE (signed_in_at) ON members TO jumun_checkout;
GRANT UPDATE (expires_at) ON sessions TO jumun_checkout;
GRANT SELECT, INSERT, DELETE ON sign_ins TO jumun_checkout;

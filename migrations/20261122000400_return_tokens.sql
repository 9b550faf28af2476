-- A buyer may leave for the payment window in one browser and come back in another, which has no session: apps open
-- links in browsers of their own. The address they come back to carries a token that speaks for this order alone.
ALTER TABLE orders
    -- SHA-256 of the token. In the address until it is used; then, of another one, in a cookie of the browser that used it.
    ADD COLUMN return_token bytea CHECK (length(return_token) = 32),
    ADD COLUMN return_until timestamptz,
    ADD COLUMN return_used  boolean NOT NULL DEFAULT false;

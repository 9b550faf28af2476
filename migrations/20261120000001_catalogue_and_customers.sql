-- Who buys and what is sold.

CREATE TABLE customers (
    id           uuid PRIMARY KEY,
    -- What the payment provider knows the customer by (Toss: customerKey). Random, never derived from a person.
    customer_key uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sessions (
    -- SHA-256 of the cookie. The cookie itself is nowhere, so a copy of this table opens no session.
    token_hash  bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    customer_id uuid NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL
);
CREATE INDEX sessions_customer ON sessions (customer_id);

CREATE TABLE products (
    id         uuid PRIMARY KEY,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    name_en    text NOT NULL CHECK (length(name_en) BETWEEN 1 AND 200),
    -- Won. What an order freezes; changing it later does not touch orders.
    price      bigint NOT NULL CHECK (price BETWEEN 0 AND 100000000000),
    image_url  text,
    active     boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Apart from products on purpose: order lines reference products, and their foreign-key locks on a popular
-- product's row would fight with every stock update of it.
CREATE TABLE stock (
    product_id uuid PRIMARY KEY REFERENCES products (id),
    -- Pieces in the warehouse, sold ones not included.
    on_hand    integer NOT NULL CONSTRAINT stock_on_hand_not_negative CHECK (on_hand >= 0),
    -- Pieces promised to orders whose payment is under way or whose sale is not yet taken down.
    reserved   integer NOT NULL DEFAULT 0
        CONSTRAINT stock_reserved_within_on_hand CHECK (reserved BETWEEN 0 AND on_hand)
) WITH (fillfactor = 70); -- updated in place, all day

-- Why on_hand is what it is: on_hand = sum(quantity), per product. Rows are only ever added.
CREATE TABLE stock_ledger (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES products (id),
    kind       text NOT NULL CHECK (kind IN ('received', 'sold', 'returned', 'adjusted')),
    -- Signed: what on_hand changed by.
    quantity   integer NOT NULL CHECK (quantity <> 0),
    order_id   uuid,
    event_id   uuid,
    at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_ledger_sign CHECK (CASE kind WHEN 'sold' THEN quantity < 0 WHEN 'adjusted' THEN true ELSE quantity > 0 END),
    CONSTRAINT stock_ledger_order CHECK ((kind IN ('sold', 'returned')) = (order_id IS NOT NULL))
);
-- An order is sold once, per product.
CREATE UNIQUE INDEX stock_ledger_sold_once ON stock_ledger (order_id, product_id) WHERE kind = 'sold';

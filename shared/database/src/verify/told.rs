//! What buyers were told, against the facts. Answers are derived from the order's state, and each state that an order had
//! is in its log.

use super::{Invariant, Scope};

pub(super) static INVARIANTS: [Invariant; 3] = [
    Invariant {
        name: "told_placed",
        statement: "every order that a buyer was told about existed at that time and still does",
        scope: Scope::Present,
        sql: "
            SELECT k.order_id::text, format('answered %s, and %s', k.created_at, coalesce('made ' || o.created_at, 'no such order'))
            FROM idempotency_keys k LEFT JOIN orders o ON o.id = k.order_id
            WHERE o.id IS NULL OR o.created_at > k.created_at",
    },
    Invariant {
        name: "told_paid",
        statement: "nobody was told \"paid\" of an order whose money never came",
        scope: Scope::Order,
        sql: "
            SELECT l.order_id::text, format('%s to paid, by %s', l.from_status, coalesce('a payment that is ' || p.status, 'no payment of it'))
            FROM order_log l LEFT JOIN payments p ON p.id = l.payment_id AND p.order_id = l.order_id
            WHERE l.to_status = 'paid' AND l.cause <> 'before the log'
                AND (p.id IS NULL OR (p.approved_at IS NULL AND p.reversals = 0))",
    },
    Invariant {
        name: "told_declined",
        statement: "nobody was told \"failed\" of a payment that holds the order's money",
        scope: Scope::Order,
        sql: "
            SELECT l.order_id::text, format('told of %s, and it is %s', l.cause, coalesce(p.status, 'no payment of it'))
            FROM order_log l LEFT JOIN payments p ON p.id = l.payment_id AND p.order_id = l.order_id
            WHERE l.from_status = 'confirming' AND l.to_status = 'pending'
                -- Excess came afterwards, pays for nothing and goes back.
                AND coalesce(p.status, '') NOT IN ('declined', 'canceled', 'excess')",
    },
];

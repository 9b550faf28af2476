//! What is true of money that goes back, at every moment.

use super::{Invariant, Scope};

pub(super) static INVARIANTS: [Invariant; 4] = [
    Invariant {
        name: "payment_refunds",
        statement: "a payment's refunded amount is the sum of its refunds that are done, and never more than was taken",
        scope: Scope::Order,
        sql: "
            SELECT p.provider_order_id, format('%s, %s of %s won went back, by its refunds %s', p.status, p.refunded_amount,
                p.amount, coalesce(sum(r.amount), 0))
            FROM payments p LEFT JOIN refunds r ON r.payment_id = p.id AND r.status = 'done'
            GROUP BY p.id, p.provider_order_id, p.status, p.refunded_amount, p.amount
            HAVING p.refunded_amount <> coalesce(sum(r.amount), 0) OR p.refunded_amount > p.amount
                OR (count(r.id) > 0 AND p.status NOT IN ('done', 'excess'))",
    },
    Invariant {
        name: "order_refunded",
        statement: "an order is refunded if and only if the whole payment that paid it was given back",
        scope: Scope::Order,
        sql: "
            SELECT o.id::text, format('%s, %s won refunded; of its payment %s', o.status, o.refunded_amount,
                coalesce(p.refunded_amount, 0))
            FROM orders o LEFT JOIN payments p ON p.order_id = o.id AND p.status = 'done'
            WHERE o.refunded_amount <> coalesce(p.refunded_amount, 0)
                OR (o.status = 'refunded') <> (o.refunded_amount = o.amount)
                OR (o.status = 'refunding' AND NOT EXISTS (
                    SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status = 'requested'))",
    },
    Invariant {
        name: "refund_announced",
        statement: "a refund was announced exactly once if it is done, and otherwise never",
        scope: Scope::Order,
        sql: "
            SELECT coalesce(r.order_id, e.order_id)::text, format('%s, announced %s times', coalesce(r.status || ' refunds', 'no refund'),
                coalesce(e.times, 0))
            FROM (
                SELECT payment_id, order_id, min(status) AS status, count(*) AS done,
                    count(*) FILTER (WHERE settled_at >= (SELECT since FROM evidence)) AS lately
                FROM refunds WHERE status = 'done' GROUP BY payment_id, order_id
            ) r
            FULL JOIN (
                SELECT payment_id, order_id, count(*) AS times FROM outbox WHERE type = 'checkout-refunded'
                GROUP BY payment_id, order_id
            ) e USING (payment_id)
            WHERE coalesce(e.times, 0) NOT BETWEEN coalesce(r.lately, 0) AND coalesce(r.done, 0)",
    },
    Invariant {
        name: "restocked_refunded",
        statement: "goods are restocked if and only if a refund that is done says so, and nothing is restocked twice",
        scope: Scope::Order,
        sql: "
            SELECT o.id::text, format('%s, restocked %s', o.status, coalesce(o.restocked_at::text, 'never'))
            FROM orders o
            WHERE (o.restocked_at IS NOT NULL) <> EXISTS (
                SELECT FROM refunds r WHERE r.order_id = o.id AND r.restock AND r.status = 'done')
            UNION ALL
            SELECT g.order_id::text, format('%s pieces of product %s came back and were not sold', sum(g.quantity), g.product_id)
            FROM stock_ledger g WHERE g.kind IN ('sold', 'returned')
            GROUP BY g.order_id, g.product_id HAVING sum(g.quantity) > 0",
    },
];

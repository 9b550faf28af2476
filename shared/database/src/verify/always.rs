//! What is true at every moment.

use super::{Invariant, Scope};

pub(super) static INVARIANTS: [Invariant; 19] = [
    Invariant {
        name: "stock_counts",
        statement: "no product has negative stock or more reserved than on hand",
        scope: Scope::Present,
        sql: "
            SELECT product_id::text, format('%s on hand, %s reserved', on_hand, reserved)
            FROM stock WHERE on_hand < 0 OR reserved NOT BETWEEN 0 AND on_hand",
    },
    Invariant {
        name: "stock_ledger",
        statement: "a product's stock is the sum of its ledger",
        scope: Scope::History,
        sql: "
            SELECT coalesce(s.product_id, l.product_id)::text,
                format('%s on hand, %s by the ledger', coalesce(s.on_hand::text, 'nothing'), coalesce(l.sum, 0))
            FROM stock s
            FULL JOIN (SELECT product_id, sum(quantity) FROM stock_ledger GROUP BY product_id) l USING (product_id)
            WHERE s.on_hand IS DISTINCT FROM coalesce(l.sum, 0)",
    },
    Invariant {
        name: "stock_reserved",
        statement: "reserved is what orders need that are being paid, or are paid and not yet sold or restocked",
        scope: Scope::History,
        sql: "
            SELECT coalesce(s.product_id, d.product_id)::text,
                format('%s reserved, %s asked for', coalesce(s.reserved, 0), coalesce(d.sum, 0))
            FROM stock s
            FULL JOIN (
                SELECT l.product_id, sum(l.quantity)
                FROM orders o JOIN order_lines l ON l.order_id = o.id
                LEFT JOIN (
                    SELECT order_id, product_id FROM stock_ledger WHERE kind IN ('sold', 'returned')
                    GROUP BY order_id, product_id HAVING sum(quantity) < 0
                ) g ON g.order_id = l.order_id AND g.product_id = l.product_id
                WHERE o.status IN ('confirming', 'awaiting_deposit', 'paid', 'refunding', 'refunded') AND o.restocked_at IS NULL
                    AND g.order_id IS NULL
                GROUP BY l.product_id
            ) d USING (product_id)
            WHERE coalesce(s.reserved, 0) <> coalesce(d.sum, 0)",
    },
    Invariant {
        name: "order_total",
        statement: "an order has at least one line and costs the sum of its lines",
        scope: Scope::Order,
        sql: "
            SELECT o.id::text, format('costs %s won, its %s lines add up to %s', o.amount, count(l.order_id),
                coalesce(sum(l.unit_price * l.quantity), 0))
            FROM orders o LEFT JOIN order_lines l ON l.order_id = o.id
            GROUP BY o.id, o.amount HAVING o.amount IS DISTINCT FROM sum(l.unit_price * l.quantity)",
    },
    Invariant {
        name: "order_paid",
        statement: "an order is paid if and only if one payment of exactly its amount, key and time is done",
        scope: Scope::Order,
        sql: "
            SELECT o.id::text, format('%s, with %s done payments of %s won for %s won%s', o.status, count(p.id),
                coalesce(sum(p.amount), 0), o.amount,
                CASE WHEN bool_or(p.payment_key <> o.payment_key OR p.approved_at <> o.paid_at) THEN ', key or time differ' ELSE '' END)
            FROM orders o LEFT JOIN payments p ON p.order_id = o.id AND p.status = 'done'
            WHERE o.paid_at IS NOT NULL OR p.id IS NOT NULL
            GROUP BY o.id, o.status, o.amount
            HAVING o.status NOT IN ('paid', 'refunding', 'refunded') OR count(p.id) <> 1 OR sum(p.amount) <> o.amount
                -- Written so that a NULL offends too.
                OR NOT coalesce(bool_and(p.payment_key = o.payment_key AND p.approved_at = o.paid_at), false)",
    },
    Invariant {
        name: "order_being_paid",
        statement: "an order is being paid if and only if exactly one payment of it is open in the same state",
        scope: Scope::Order,
        sql: "
            SELECT o.id::text, format('%s, with %s open payments (%s)', o.status, count(p.id), coalesce(string_agg(p.status, ', '), 'none'))
            FROM orders o LEFT JOIN payments p ON p.order_id = o.id AND p.status IN ('confirming', 'awaiting_deposit')
            WHERE o.status IN ('confirming', 'awaiting_deposit') OR p.id IS NOT NULL
            GROUP BY o.id, o.status
            HAVING count(p.id) <> 1 OR NOT coalesce(bool_and(p.status = o.status AND p.payment_key = o.payment_key), false)",
    },
    Invariant {
        name: "order_attempts",
        statement: "an order counts all payments begun for it, and each is of the order's amount",
        scope: Scope::Order,
        sql: "
            SELECT o.id::text, format('counts %s attempts, %s payments of %s to %s won for %s won', o.attempts, count(p.id),
                min(p.amount), max(p.amount), o.amount)
            FROM orders o LEFT JOIN payments p ON p.order_id = o.id
            GROUP BY o.id, o.attempts, o.amount
            HAVING count(p.id) <> o.attempts OR max(p.attempt) <> o.attempts OR bool_or(p.amount <> o.amount)",
    },
    Invariant {
        name: "order_state",
        statement: "an order's state is the last one in its log",
        scope: Scope::Order,
        sql: "
            SELECT coalesce(o.id, l.order_id)::text, format('%s, by its log %s',
                coalesce(o.status, 'no such order'), coalesce(l.to_status, 'pending'))
            FROM orders o
            FULL JOIN (SELECT DISTINCT ON (order_id) order_id, to_status FROM order_log ORDER BY order_id, id DESC) l
                ON l.order_id = o.id
            WHERE o.status IS DISTINCT FROM coalesce(l.to_status, 'pending')",
    },
    Invariant {
        name: "order_steps",
        statement: "orders took only allowed steps, each from the state that the previous one led to",
        scope: Scope::Order,
        sql: "
            SELECT order_id::text, format('%s to %s, after %s', from_status, to_status, before)
            FROM (
                SELECT order_id, from_status, to_status,
                    lag(to_status, 1, 'pending') OVER (PARTITION BY order_id ORDER BY id) AS before
                FROM order_log
            ) step
            WHERE from_status <> before OR (from_status, to_status) NOT IN (
                ('pending', 'confirming'), ('pending', 'canceled'), ('pending', 'expired'),
                ('confirming', 'pending'), ('confirming', 'paid'), ('confirming', 'awaiting_deposit'),
                ('awaiting_deposit', 'paid'), ('awaiting_deposit', 'canceled'), ('awaiting_deposit', 'expired'),
                ('paid', 'refunding'), ('paid', 'refunded'), ('refunding', 'paid'), ('refunding', 'refunded'),
                -- The bank took a deposit back.
                ('paid', 'awaiting_deposit'))",
    },
    Invariant {
        name: "paid_announced",
        statement: "an order was announced as paid exactly as often as it was paid",
        scope: Scope::Order,
        sql: "
            SELECT coalesce(o.id, e.order_id)::text, format('%s, announced %s times', o.status, coalesce(e.times, 0))
            FROM orders o
            LEFT JOIN payments p ON p.order_id = o.id AND (p.status = 'done' OR p.reversals > 0)
            FULL JOIN (
                SELECT order_id, count(*) AS times, min(payment_id::text) AS payment FROM outbox
                WHERE type = 'checkout-success' GROUP BY order_id
            ) e ON e.order_id = o.id
            WHERE CASE
                WHEN e.times IS NOT NULL THEN p.id::text IS DISTINCT FROM e.payment
                    OR e.times > p.reversals + (o.paid_at IS NOT NULL)::int
                    OR (e.times <> p.reversals + (o.paid_at IS NOT NULL)::int AND p.asked_at >= (SELECT since FROM evidence))
                -- Of an old order the announcement is forgotten; its effect is not.
                ELSE o.paid_at IS NOT NULL AND (coalesce(p.settled_at, o.paid_at) >= (SELECT since FROM evidence)
                    OR NOT EXISTS (SELECT FROM stock_ledger g WHERE g.order_id = o.id AND g.kind = 'sold'))
            END",
    },
    Invariant {
        name: "decline_announced",
        statement: "a payment was announced as failed once if it was declined, and once for each reversal of its deposit",
        scope: Scope::Order,
        sql: "
            SELECT coalesce(p.provider_order_id, e.payment_id::text),
                format('%s, taken back %s times, announced %s times', coalesce(p.status, 'unknown'), coalesce(p.reversals, 0),
                    coalesce(e.times, 0))
            FROM payments p
            FULL JOIN (
                SELECT payment_id, count(*) AS times FROM outbox WHERE type = 'checkout-failed' GROUP BY payment_id
            ) e ON e.payment_id = p.id
            WHERE CASE
                WHEN e.times IS NOT NULL THEN p.status IS NULL
                    -- Money that came after the refusal does not take the announcement back.
                    OR e.times > p.reversals + (p.status IN ('declined', 'excess'))::int
                    OR (e.times < p.reversals + (p.status = 'declined')::int AND p.asked_at >= (SELECT since FROM evidence))
                ELSE (p.status = 'declined' AND p.settled_at >= (SELECT since FROM evidence))
                    OR (p.reversals > 0 AND p.asked_at >= (SELECT since FROM evidence))
            END",
    },
    Invariant {
        name: "announced_as_is",
        statement: "an event says what its payment's record says",
        scope: Scope::Order,
        sql: "
            SELECT e.id::text, format('%s of order %s says %s', e.type, e.order_id, e.data)
            FROM outbox e LEFT JOIN payments p ON p.id = e.payment_id
            WHERE p.order_id IS DISTINCT FROM e.order_id
                OR e.data::jsonb ->> 'orderId' IS DISTINCT FROM e.order_id::text
                OR CASE e.type
                    WHEN 'checkout-success' THEN (e.data::jsonb ->> 'paymentKey', e.data::jsonb ->> 'amount')
                        IS DISTINCT FROM (p.payment_key, p.amount::text)
                    -- Money that came after the refusal takes the code off the payment; a deposit that was taken back leaves none.
                    WHEN 'checkout-failed' THEN p.status = 'declined' AND (e.data::jsonb ->> 'code') <> 'DEPOSIT_REVERSED' AND (e.data::jsonb ->> 'code', e.data::jsonb ->> 'amount')
                        IS DISTINCT FROM (p.decline_code, p.amount::text)
                END",
    },
    Invariant {
        name: "events_known",
        statement: "no consumer has acted on an event that was not announced",
        scope: Scope::History,
        sql: "
            SELECT i.event_id::text, format('claimed by %s', i.consumer) FROM inbox i
            WHERE i.at >= (SELECT since FROM evidence) AND NOT EXISTS (SELECT FROM outbox e WHERE e.id = i.event_id)",
    },
    Invariant {
        name: "sold_whole",
        statement: "all lines of an order are sold, or none",
        scope: Scope::Order,
        sql: "
            SELECT coalesce(g.order_id, l.order_id)::text, format('product %s: %s ordered, %s sold',
                coalesce(g.product_id, l.product_id), coalesce(l.quantity, 0), coalesce(-g.quantity, 0))
            FROM (SELECT order_id, product_id, sum(quantity) AS quantity FROM stock_ledger
                WHERE kind IN ('sold', 'returned') GROUP BY order_id, product_id HAVING sum(quantity) <> 0) g
            FULL JOIN (
                SELECT order_id, product_id, quantity FROM order_lines
                WHERE order_id IN (SELECT order_id FROM stock_ledger WHERE kind IN ('sold', 'returned')
                    GROUP BY order_id HAVING sum(quantity) <> 0)
            ) l USING (order_id, product_id)
            WHERE g.quantity IS DISTINCT FROM -l.quantity",
    },
    Invariant {
        name: "sold_paid",
        statement: "nothing is sold that is not paid or that was returned",
        scope: Scope::Order,
        sql: "
            SELECT g.order_id::text, format('%s, and %s pieces of product %s are sold', coalesce(o.status, 'no such order'),
                -g.quantity, g.product_id)
            FROM (SELECT order_id, product_id, sum(quantity) AS quantity FROM stock_ledger
                WHERE kind IN ('sold', 'returned') GROUP BY order_id, product_id HAVING sum(quantity) <> 0) g
            LEFT JOIN orders o ON o.id = g.order_id
            WHERE o.paid_at IS NULL OR o.restocked_at IS NOT NULL",
    },
    Invariant {
        name: "sold_once_by_event",
        statement: "everything sold was sold by an event that the stock worker claimed, and every claimed event sold its goods or kept them from being sold",
        scope: Scope::Order,
        sql: "
            SELECT coalesce(g.event_id, i.event_id)::text,
                CASE WHEN i.event_id IS NULL THEN format('order %s is sold, the event is not claimed', g.order_id)
                ELSE 'claimed, and nothing is sold' END
            FROM (SELECT DISTINCT event_id, order_id, at FROM stock_ledger WHERE kind = 'sold') g
            FULL JOIN (SELECT event_id, at FROM inbox WHERE consumer = 'checkout-stock') i USING (event_id)
            WHERE CASE WHEN i.event_id IS NULL THEN g.at >= (SELECT since FROM evidence)
                ELSE g.order_id IS NULL AND NOT EXISTS (
                    SELECT FROM outbox e JOIN orders o ON o.id = e.order_id JOIN payments p ON p.id = e.payment_id
                    WHERE e.id = i.event_id AND (o.restocked_at IS NOT NULL OR p.reversals > 0))
            END",
    },
    Invariant {
        name: "push_explained",
        statement: "no notification is about something that was not announced, or about money that never came",
        scope: Scope::Order,
        sql: "
            SELECT a.event_id::text, format('device %s: %s', a.device_id, CASE
                WHEN o.id IS NULL THEN 'no such order'
                WHEN e.id IS NULL THEN 'no such event'
                WHEN e.order_id <> a.order_id THEN 'the event is about another order'
                WHEN e.type = 'checkout-success' AND o.paid_at IS NULL THEN 'the order is not paid'
                ELSE 'the event was never published' END)
            FROM push_attempts a
            LEFT JOIN orders o ON o.id = a.order_id
            LEFT JOIN outbox e ON e.id = a.event_id
            WHERE CASE
                WHEN e.id IS NULL THEN o.id IS NULL OR a.at >= (SELECT since FROM evidence)
                ELSE e.order_id <> a.order_id OR (e.type = 'checkout-success' AND o.paid_at IS NULL
                        AND NOT EXISTS (SELECT FROM payments p WHERE p.id = e.payment_id AND p.reversals > 0))
                    -- A push may be quicker than the relay's own note that it published, but not than its claim.
                    OR (e.published_at IS NULL AND e.claimed_until IS NULL)
            END",
    },
    Invariant {
        name: "push_counted",
        statement: "every finished notification was tried, and none is in doubt more often than it was tried",
        scope: Scope::Order,
        sql: "
            SELECT event_id::text, format('device %s: %s after %s attempts, %s in doubt', device_id, status, attempts, unknowns)
            FROM push_attempts WHERE (status IN ('sent', 'gave_up') AND attempts = 0) OR unknowns NOT BETWEEN 0 AND attempts",
    },
    Invariant {
        name: "dead_letters_decided",
        statement: "a dead letter's status is the last decision about it",
        scope: Scope::Present,
        sql: "
            SELECT d.id::text, format('%s, by the record %s', d.status, coalesce(a.action, 'open'))
            FROM dead_letters d
            LEFT JOIN LATERAL (
                SELECT action FROM dead_letter_actions WHERE letter_id = d.id ORDER BY id DESC LIMIT 1
            ) a ON true
            WHERE d.status <> coalesce(a.action, 'open')",
    },
];

//! What is true once traffic has stopped and every queue has drained.

use super::{Invariant, Scope};

pub(super) static INVARIANTS: [Invariant; 11] = [
    Invariant {
        name: "events_published",
        statement: "no event waits to be published",
        scope: Scope::Present,
        sql: "
            SELECT id::text, format('%s of order %s, since %s', type, order_id, occurred_at)
            FROM outbox WHERE published_at IS NULL",
    },
    Invariant {
        name: "messages_delivered",
        statement: "no message waits to be delivered",
        scope: Scope::Present,
        sql: "
            SELECT id::text, format('to %s, after %s attempts, due %s', subscription, attempts, due_at) FROM deliveries",
    },
    Invariant {
        name: "payments_decided",
        statement: "no payment waits for the provider's answer",
        scope: Scope::Present,
        sql: "
            SELECT provider_order_id, format('asked %s, %s checks, next %s', asked_at, checks, next_check_at)
            FROM payments WHERE status = 'confirming' AND next_check_at IS NOT NULL", // by the index of what is due
    },
    Invariant {
        name: "payments_undisputed",
        statement: "no payment and no refund needs a person",
        scope: Scope::Present,
        sql: "
            SELECT provider_order_id, format('%s: %s', status, attention) FROM payments WHERE attention IS NOT NULL
            UNION ALL
            SELECT order_id::text, format('%s refund of %s won: %s', status, amount, attention) FROM refunds WHERE attention IS NOT NULL",
    },
    Invariant {
        name: "refunds_decided",
        statement: "no refund waits for the provider's answer",
        scope: Scope::Present,
        sql: "
            SELECT order_id::text, format('%s won, %s checks, next %s', amount, checks, next_check_at)
            FROM refunds WHERE status = 'requested' AND next_check_at IS NOT NULL",
    },
    Invariant {
        name: "excess_returned",
        statement: "money that pays for no order was given back",
        scope: Scope::Order,
        sql: "
            SELECT provider_order_id, format('%s of %s won went back', refunded_amount, amount)
            FROM payments WHERE status = 'excess' AND refunded_amount <> amount",
    },
    Invariant {
        name: "events_taken",
        statement: "every consumer has acted on every event, or a person has discarded it",
        scope: Scope::Order,
        sql: "
            SELECT e.id::text, format('%s of order %s, not by %s', e.type, e.order_id, c.name)
            FROM outbox e JOIN consumer c ON c.topic = e.type
            WHERE e.occurred_at >= (SELECT since FROM evidence)
                AND NOT EXISTS (SELECT FROM inbox i WHERE i.consumer = c.name AND i.event_id = e.id)
                AND NOT EXISTS (SELECT FROM dead_letters d
                    WHERE d.event_id = e.id AND d.source = c.name AND d.status = 'discarded')",
    },
    Invariant {
        name: "paid_sold",
        statement: "everything that is paid is sold, unless it was returned",
        scope: Scope::Order,
        sql: "
            SELECT id::text, format('paid %s', paid_at)
            FROM orders o
            LEFT JOIN (
                SELECT order_id FROM stock_ledger WHERE kind IN ('sold', 'returned')
                GROUP BY order_id HAVING sum(quantity) < 0
            ) g ON g.order_id = o.id
            WHERE paid_at IS NOT NULL AND restocked_at IS NULL AND g.order_id IS NULL",
    },
    Invariant {
        name: "pushes_sent",
        statement: "no notification waits to be sent",
        scope: Scope::Present,
        sql: "
            SELECT event_id::text, format('device %s, after %s attempts, due %s', device_id, attempts, due_at)
            FROM push_attempts WHERE due_at IS NOT NULL",
    },
    Invariant {
        name: "dead_letters_resolved",
        statement: "no dead letter is open",
        scope: Scope::Present,
        sql: "
            SELECT id::text, format('from %s: %s', source, reason) FROM dead_letters WHERE status = 'open'",
    },
    Invariant {
        name: "webhooks_looked_into",
        statement: "no webhook waits to be processed",
        scope: Scope::Present,
        sql: "
            SELECT id::text, format('came %s, after %s attempts, due %s%s', received_at, attempts, due_at, ': ' || reason)
            FROM webhook_inbox WHERE status = 'pending'",
    },
];

-- What each program may do in the database, and no more. Programs act under these roles, whoever they log in as.
--
-- Whoever adds a table, or a column that others than checkout-api need, grants it in the same migration.
-- docs/database-roles.md shows the outcome; a test compares it with the schema.
--
-- Roles belong to the server, not to the database: another shop on the same server has made them already.
DO $$
DECLARE
    program text;
    programs CONSTANT text[] := ARRAY
        ['jumun_checkout', 'jumun_stock', 'jumun_push', 'jumun_dead_letter', 'jumun_desk', 'jumun_checker'];
BEGIN
    FOREACH program IN ARRAY programs LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = program);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', program);
            -- On one machine the programs log in as whoever migrates. A superuser may become anybody as it is.
            IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
                EXECUTE format('GRANT %I TO CURRENT_USER', program);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- by another database's migration, this very moment
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION '% may not create roles. Have an administrator of the server run: %. Then migrate again',
                    current_user,
                    (SELECT string_agg(format('CREATE ROLE %I NOLOGIN; GRANT %I TO %I', p, p, current_user), '; ')
                        FROM unnest(programs) AS p WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = p));
        END;
    END LOOP;
END $$;

-- checkout-api, its loops, and `jumun refund`. Logs and the ledger only grow; what is pruned may be deleted.
GRANT SELECT ON customers, sessions, products, stock, stock_ledger, orders, order_lines, order_log, idempotency_keys, payments,
    refunds, outbox, inbox, deliveries, messaging_tokens, push_attempts, watchdog, webhook_inbox, statements, dead_letters
    TO jumun_checkout;
GRANT INSERT ON customers, sessions, stock_ledger, orders, order_lines, order_log, idempotency_keys, payments, refunds, outbox,
    inbox, deliveries, messaging_tokens, webhook_inbox, statements TO jumun_checkout;
GRANT UPDATE ON orders, payments, refunds, outbox, deliveries, messaging_tokens, webhook_inbox TO jumun_checkout;
GRANT UPDATE (on_hand, reserved) ON stock TO jumun_checkout;
GRANT UPDATE (looked_until) ON watchdog TO jumun_checkout;
GRANT UPDATE (claimed_until, compared_at, ours, theirs, differences) ON statements TO jumun_checkout;
GRANT DELETE ON customers, sessions, idempotency_keys, outbox, inbox, deliveries, messaging_tokens, push_attempts, webhook_inbox
    TO jumun_checkout;

-- stock-worker.
GRANT SELECT ON stock, order_lines TO jumun_stock;
GRANT SELECT (id, type, order_id) ON outbox TO jumun_stock;
GRANT SELECT (id, paid_at) ON orders TO jumun_stock;
GRANT UPDATE (on_hand, reserved) ON stock TO jumun_stock;
GRANT SELECT, INSERT ON inbox TO jumun_stock;
GRANT INSERT ON stock_ledger TO jumun_stock;

-- push-worker. A device that FCM calls gone is deleted.
GRANT SELECT (id, type, order_id, payment_id, data) ON outbox TO jumun_push;
GRANT SELECT (id, customer_id, name, amount, paid_at) ON orders TO jumun_push;
GRANT SELECT (id, decline_message) ON payments TO jumun_push;
GRANT SELECT, INSERT ON inbox TO jumun_push;
GRANT SELECT, INSERT, UPDATE ON push_attempts TO jumun_push;
GRANT SELECT (id, customer_id, kind, token, locale, updated_at, last_success_at) ON messaging_tokens TO jumun_push;
GRANT UPDATE (last_success_at) ON messaging_tokens TO jumun_push;
GRANT DELETE ON messaging_tokens TO jumun_push;

-- Workers park what can never have an effect. ON CONFLICT wants to read what it compares.
GRANT SELECT (source, message_id, data), INSERT ON dead_letters TO jumun_stock, jumun_push, jumun_dead_letter;

-- `jumun dead-letters`: a person decides, the event goes out again.
GRANT SELECT ON dead_letters, dead_letter_actions, outbox TO jumun_desk;
GRANT UPDATE (status, resolved_at, resolved_by, resolution) ON dead_letters TO jumun_desk;
GRANT UPDATE (published_at) ON outbox TO jumun_desk;
GRANT INSERT ON dead_letter_actions, deliveries TO jumun_desk;
GRANT SELECT (subscription, dedup_key) ON deliveries TO jumun_desk;

-- `jumun verify`, `order`, `attention`, `statement`: they read the books, and nobody's address, session or secret.
GRANT SELECT ON stock, stock_ledger, order_lines, order_log, outbox, inbox, deliveries, push_attempts, dead_letters,
    dead_letter_actions, statements TO jumun_checker;
GRANT SELECT (id, customer_id, status, name, amount, currency, provider, attempts, payment_key, paid_at, refunded_amount, restocked_at,
    created_at, expires_at, updated_at) ON orders TO jumun_checker;
GRANT SELECT (id, order_id, attempt, provider, provider_order_id, payment_key, payment_type, amount, currency, status, asked_at,
    next_check_at, checks, attention, method, approved_at, decline_code, decline_message, deposit_due_at, traceparent, settled_at,
    refunded_amount, reversals) ON payments TO jumun_checker;
GRANT SELECT (id, order_id, payment_id, amount, refundable, reason, origin, restock, status, requested_by, next_check_at, checks,
    attention, transaction_key, done_at, failure_code, failure_message, traceparent, created_at, settled_at) ON refunds TO jumun_checker;
GRANT SELECT (id, status, reason, payment_id, received_at, asked_at, attempts, due_at) ON webhook_inbox TO jumun_checker;
GRANT SELECT (customer_id, order_id, created_at) ON idempotency_keys TO jumun_checker;

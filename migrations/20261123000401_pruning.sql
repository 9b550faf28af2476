-- What is pruned is found by age. B-trees, as pruning makes room all over a table: block ranges soon hold old rows and new
-- ones, and a BRIN says "maybe" to all of them. Events are found by `outbox_published`.

CREATE INDEX inbox_at ON inbox (at);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
CREATE INDEX webhook_inbox_looked_into ON webhook_inbox (received_at) WHERE status <> 'pending';

-- Nothing reads these.
DROP INDEX inbox_age, idempotency_keys_age, webhook_inbox_age, outbox_age;

-- What it stores is returned to it, as to everybody who publishes.
GRANT SELECT ON deliveries TO jumun_desk;

-- Creating an order counts what its buyer has open. `orders_open_cart` answers for pending and confirming orders; the few
-- that wait for a deposit hold stock for days, and are counted by this one, which costs orders paid by card nothing.
CREATE INDEX orders_awaiting_deposit ON orders (customer_id) WHERE status = 'awaiting_deposit';

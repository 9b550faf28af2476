-- What is left of a product, told to whoever listens on channel `stock` as '<product id> <pieces>': open pages change by
-- themselves. A sale changes nothing here, since what is sold was reserved before: the condition spares it the call.
--
-- PostgreSQL lets transactions that notify commit one after the other. That is bearable because there are few of them:
-- a batch of buyers reserves a product with one update, and a process has two batches under way at most.
CREATE FUNCTION tell_stock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('stock', NEW.product_id || ' ' || (NEW.on_hand - NEW.reserved));
    RETURN NULL;
END
$$;
CREATE TRIGGER stock_tell AFTER UPDATE ON stock FOR EACH ROW
    WHEN (OLD.on_hand - OLD.reserved <> NEW.on_hand - NEW.reserved)
    EXECUTE FUNCTION tell_stock();

-- What one order may hold of a product. Together with the limit of unpaid orders it bounds what one buyer can keep from
-- others, above all with a virtual account, which holds its goods unpaid until it is due.
ALTER TABLE products ADD COLUMN max_per_order int NOT NULL DEFAULT 99
    CONSTRAINT products_max_per_order CHECK (max_per_order BETWEEN 1 AND 9999);
COMMENT ON COLUMN products.max_per_order IS 'pieces; at most what the program takes for a quantity (9999)';

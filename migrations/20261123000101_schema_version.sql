-- At its start a program looks whether the schema has all that it needs. (sqlx makes the table; where the migrations were run
-- by other means there is none.)
DO $$
BEGIN
    IF to_regclass('public._sqlx_migrations') IS NOT NULL THEN
        GRANT SELECT (version, success) ON _sqlx_migrations
            TO jumun_checkout, jumun_stock, jumun_push, jumun_dead_letter, jumun_desk, jumun_checker;
    END IF;
END $$;

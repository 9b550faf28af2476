-- A login for each program of docker-compose.yml, each a member of its program's role alone. The database's container runs
-- this when it is made, before `jumun migrate` grants the roles what they may do. Nothing outside of the containers reaches
-- the database, so the password is no secret; docs/operations.md says how it is done where it is one.
CREATE ROLE jumun_checkout NOLOGIN;
CREATE ROLE jumun_stock NOLOGIN;
CREATE ROLE jumun_push NOLOGIN;
CREATE ROLE jumun_dead_letter NOLOGIN;
CREATE ROLE jumun_desk NOLOGIN;
CREATE ROLE jumun_checker NOLOGIN;

CREATE ROLE checkout_api LOGIN PASSWORD 'jumun' IN ROLE jumun_checkout;
CREATE ROLE stock_worker LOGIN PASSWORD 'jumun' IN ROLE jumun_stock;
CREATE ROLE push_worker LOGIN PASSWORD 'jumun' IN ROLE jumun_push;
CREATE ROLE dead_letter_worker LOGIN PASSWORD 'jumun' IN ROLE jumun_dead_letter;
-- People: `jumun verify`, `order`, `attention`, `statement`; `dead-letters`; `refund`.
CREATE ROLE office LOGIN PASSWORD 'jumun' IN ROLE jumun_checker, jumun_desk, jumun_checkout;

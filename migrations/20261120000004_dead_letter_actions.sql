-- Who decided what about which dead letter, and why. Rows are only ever added: dead_letters holds the latest decision.
CREATE TABLE dead_letter_actions (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    letter_id uuid NOT NULL REFERENCES dead_letters (id),
    action    text NOT NULL CHECK (action IN ('replayed', 'discarded')),
    actor     text NOT NULL CHECK (length(actor) > 0),
    reason    text,
    at        timestamptz NOT NULL DEFAULT now(),
    -- A replay explains itself; what is never to have its effect does not.
    CONSTRAINT dead_letter_actions_reason CHECK (action = 'replayed' OR coalesce(length(reason), 0) > 0)
);
CREATE INDEX dead_letter_actions_letter ON dead_letter_actions (letter_id);

-- What became of an event at a subscription.
CREATE INDEX dead_letters_event ON dead_letters (event_id, source);

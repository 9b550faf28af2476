-- Sessions that have ended are forgotten, oldest end first. New ones end last, so the index grows at one side.
CREATE INDEX sessions_ended ON sessions (expires_at);

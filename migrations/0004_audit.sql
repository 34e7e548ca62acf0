-- Who did what: one row for each mutation, also a refused one, chained by hash in the order of seq.
-- A row is inserted only onto the seq that its writer saw as the last, so there is one chain however
-- many replicas write. Rows are never changed.
CREATE TABLE audit (
	seq INTEGER PRIMARY KEY, -- 1, 2, 3 ... without gaps
	at INTEGER NOT NULL,     -- whole milliseconds, in microseconds
	replica BLOB NOT NULL,
	actor BLOB,              -- principal; NULL: nobody was signed in
	actor_kind TEXT,         -- user, service_account
	actor_name TEXT,         -- e-mail or name at that time
	method TEXT NOT NULL,    -- class of credential
	action TEXT NOT NULL,    -- name of the operation
	target TEXT,             -- id of what was changed
	tenant TEXT,
	before TEXT,             -- JSON without secrets; NULL: it was not there
	after TEXT,              -- JSON without secrets; NULL: it is not there, or nothing changed
	outcome TEXT NOT NULL,   -- ok, or the code of the error
	request_id TEXT,
	trace_id TEXT,
	source TEXT,
	prev_hash BLOB NOT NULL, -- hash of seq - 1; zeros for the first
	hash BLOB NOT NULL       -- SHA-256 over prev_hash and all fields
) STRICT;
CREATE INDEX audit_tenant ON audit (tenant, seq);
CREATE INDEX audit_actor ON audit (actor, seq);
CREATE INDEX audit_action ON audit (action, seq);

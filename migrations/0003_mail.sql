-- Mail that waits to be sent, and the one-time tokens that it carries.

-- A row is made in the batch of what it tells of, so that mail is neither lost nor sent for something
-- that did not happen, and is deleted once a server has taken the mail. next_attempt_at is when the
-- mail may be tried; whoever tries it moves that to the end of its lease first (compare-and-set).
CREATE TABLE mail (
	id BLOB NOT NULL PRIMARY KEY,
	kind TEXT NOT NULL,      -- verify, reset, password_changed, email_taken
	sender TEXT NOT NULL,    -- of the envelope
	recipient TEXT NOT NULL,
	body BLOB,               -- the whole message, sealed by the master key; NULL once given up
	attempts INTEGER NOT NULL DEFAULT 0, -- begun
	next_attempt_at INTEGER NOT NULL,
	claimed_by BLOB,         -- the replica that is trying now
	last_error TEXT,
	failed_at INTEGER,       -- given up; kept for a week
	created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX mail_due ON mail (next_attempt_at) WHERE failed_at IS NULL;
CREATE INDEX mail_failed ON mail (failed_at) WHERE failed_at IS NOT NULL;

-- What a link in a mail proves: that its reader reads the mail of an address. Only hashes are kept.
-- At most one token for each user and kind; a new one replaces it.
CREATE TABLE one_time_token (
	hash BLOB NOT NULL PRIMARY KEY, -- SHA-256 of kind and token
	kind TEXT NOT NULL CHECK (kind IN ('verify', 'reset')),
	principal BLOB NOT NULL,        -- user
	email_fold TEXT NOT NULL,       -- that the mail went to; once the user has another: void
	expires_at INTEGER NOT NULL,
	used_at INTEGER,
	created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_time_token_principal ON one_time_token (principal, kind);
CREATE INDEX one_time_token_expires ON one_time_token (expires_at);

-- The core of a gateway's state: identity, authorization, sessions, keys, routing, the change feed.
--
-- Conventions. Ids are UUIDv7 as 16-byte BLOBs, therefore ordered by time of creation. Times are
-- INTEGER microseconds since the Unix epoch (UTC) and always come from the caller. `version` counts
-- the writes of a row: it is the resource's etag and the guard of its compare-and-set. Flags are 0
-- or 1. Every table is STRICT. There are no foreign keys: whether they are enforced is a flag of
-- rqlited and not ours to rely on, so references are held by guards in the batches that write them.
--
-- schema_migrations is made by the migrator itself, before the first migration.

-- Outcomes of writes on rqlite: the first statement of every batch inserts the batch's op_id, so
-- that a write whose answer was lost is resolved by its op_id and never happens twice. `fenced`: the
-- batch did not happen and never will. Ids are ordered by time, so old rows are trimmed by range.
-- The rqlite engine makes this table and the next when they are missing; SQLite needs neither.
CREATE TABLE IF NOT EXISTS op (
	op_id BLOB NOT NULL PRIMARY KEY,
	fenced INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Never holds a row. On rqlite a failed guard inserts a 0 here, which aborts the batch.
CREATE TABLE IF NOT EXISTS guard (
	ok INTEGER NOT NULL CHECK (ok = 1)
) STRICT;

-- The change feed: what every cache of every replica must forget. Written in the batch of the write
-- that it tells of, read in order, trimmed when old. AUTOINCREMENT: a number is never used again,
-- so a reader that was away sees that rows are gone.
CREATE TABLE change (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	kind TEXT NOT NULL, -- principal, session, role, tenant, key, routing, credential
	key BLOB NOT NULL,  -- what it names, by kind; may be empty
	at INTEGER NOT NULL
) STRICT;

CREATE TABLE tenant (
	id TEXT NOT NULL PRIMARY KEY, -- [a-z0-9][a-z0-9-]{0,62}
	name TEXT NOT NULL,
	disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
	version INTEGER NOT NULL DEFAULT 1,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- People. Platform-wide; a tenant sees those that have an assignment in it.
CREATE TABLE user (
	id BLOB NOT NULL PRIMARY KEY,
	email TEXT NOT NULL,             -- as given
	email_fold TEXT NOT NULL UNIQUE, -- case-folded: what sign-in compares
	display_name TEXT,
	password_phc TEXT,               -- NULL: no password sign-in
	password_changed_at INTEGER,
	email_verified_at INTEGER,       -- NULL: not verified
	disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
	version INTEGER NOT NULL DEFAULT 1,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Machines. `tenant` is whose administrators manage it; NULL: the platform's.
CREATE TABLE service_account (
	id BLOB NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	tenant TEXT,
	disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
	version INTEGER NOT NULL DEFAULT 1,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX service_account_name ON service_account (coalesce(tenant, '*'), name);

-- What a service account proves itself with; several at a time, so that rotation overlaps.
CREATE TABLE credential (
	id BLOB NOT NULL PRIMARY KEY,
	service_account BLOB NOT NULL,
	kind TEXT NOT NULL CHECK (kind IN ('secret', 'api_key', 'certificate')),
	secret_hash BLOB, -- SHA-256 of a random secret; NULL for a certificate
	subject TEXT,     -- certificate: its subject or a SAN
	expires_at INTEGER,
	last_used_at INTEGER, -- coarse: written at most once an hour
	created_at INTEGER NOT NULL,
	CHECK ((kind = 'certificate') = (subject IS NOT NULL)),
	CHECK ((kind = 'certificate') = (secret_hash IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX credential_account ON credential (service_account, id);
CREATE UNIQUE INDEX credential_subject ON credential (subject) WHERE subject IS NOT NULL;

-- `tenant`: where the role can be seen and assigned; NULL: everywhere.
CREATE TABLE role (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	tenant TEXT,
	built_in INTEGER NOT NULL DEFAULT 0 CHECK (built_in IN (0, 1)),
	version INTEGER NOT NULL DEFAULT 1,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a role allows: a right (noun.verb, or noun.*, or *) on resources that match a glob.
CREATE TABLE role_grant (
	role TEXT NOT NULL,
	"right" TEXT NOT NULL,
	resource TEXT NOT NULL DEFAULT '*',
	PRIMARY KEY (role, "right", resource)
) STRICT, WITHOUT ROWID;

-- Who has which role where. `principal` is a user or a service account; tenant '*': every tenant.
CREATE TABLE assignment (
	id BLOB NOT NULL PRIMARY KEY,
	principal BLOB NOT NULL,
	tenant TEXT NOT NULL,
	role TEXT NOT NULL,
	created_by BLOB, -- principal; NULL: the command line
	created_at INTEGER NOT NULL,
	UNIQUE (principal, tenant, role)
) STRICT, WITHOUT ROWID;
CREATE INDEX assignment_tenant ON assignment (tenant, id);
CREATE INDEX assignment_principal ON assignment (principal, id);
CREATE INDEX assignment_role ON assignment (role, tenant);

-- Sign-ins. The refresh token of a session is made from (id, counter); only its hash is kept.
-- Rotation is one UPDATE guarded by id, counter, token_hash and ended_at IS NULL; it touches no
-- indexed column.
CREATE TABLE session (
	id BLOB NOT NULL PRIMARY KEY,
	principal BLOB NOT NULL,
	counter INTEGER NOT NULL DEFAULT 0, -- of the newest refresh token
	token_hash BLOB NOT NULL,           -- SHA-256 of the newest refresh token
	rotated_at INTEGER,                 -- when counter last grew: the grace window counts from it
	amr TEXT NOT NULL,                  -- how they signed in, separated by blanks: "pwd otp"
	auth_time INTEGER NOT NULL,         -- last full authentication
	user_agent TEXT,
	ip TEXT,
	last_used_at INTEGER NOT NULL,
	idle_expires_at INTEGER NOT NULL, -- moves with each refresh
	expires_at INTEGER NOT NULL,      -- never moves
	ended_at INTEGER,
	end_reason TEXT, -- signout, reuse, password, admin, disabled
	created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_principal ON session (principal, id);

-- Keys that sign access tokens. At most one is active.
CREATE TABLE signing_key (
	kid TEXT NOT NULL PRIMARY KEY,
	alg TEXT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('next', 'active', 'retired', 'revoked')),
	private_sealed BLOB, -- sealed by the master key; NULL once it signs no more
	public_jwk TEXT NOT NULL,
	not_after INTEGER, -- no token of this key is valid from then on; NULL: open
	version INTEGER NOT NULL DEFAULT 1,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX signing_key_active ON signing_key (state) WHERE state = 'active';

-- Every routing document there ever was; the highest revision is in force.
CREATE TABLE routing_revision (
	revision INTEGER PRIMARY KEY,
	document TEXT NOT NULL, -- JSON, as validated
	author BLOB,            -- principal; NULL: the command line
	note TEXT,
	at INTEGER NOT NULL
) STRICT;

-- Answers to admin POSTs that carried an Idempotency-Key, kept for 24 h. The row is inserted before
-- the work with status NULL: two requests at once make one of them wait or fail, never both work.
CREATE TABLE idempotency (
	principal BLOB NOT NULL,
	key TEXT NOT NULL,
	operation TEXT NOT NULL,
	body_hash BLOB NOT NULL, -- SHA-256
	status INTEGER,          -- HTTP; NULL: under way
	answer BLOB,
	at INTEGER NOT NULL,
	PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_at ON idempotency (at);

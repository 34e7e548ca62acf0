-- What migrations/ produces: the schema in force. Made by tests/unit/test_migrate with
-- UPDATE_SCHEMA=1; change it by a new migration.

CREATE TABLE assignment (
	id BLOB NOT NULL PRIMARY KEY,
	principal BLOB NOT NULL,
	tenant TEXT NOT NULL,
	role TEXT NOT NULL,
	created_by BLOB, -- principal; NULL: the command line
	created_at INTEGER NOT NULL,
	UNIQUE (principal, tenant, role)
) STRICT, WITHOUT ROWID;

CREATE INDEX assignment_by_role ON assignment (role, id);

CREATE INDEX assignment_member ON assignment (tenant, principal);

CREATE INDEX assignment_principal ON assignment (principal, id);

CREATE INDEX assignment_role ON assignment (role, tenant);

CREATE INDEX assignment_tenant ON assignment (tenant, id);

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

CREATE INDEX audit_action ON audit (action, seq);

CREATE INDEX audit_actor ON audit (actor, seq);

CREATE INDEX audit_tenant ON audit (tenant, seq);

CREATE TABLE change (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	kind TEXT NOT NULL, -- principal, session, role, tenant, key, routing, credential
	key BLOB NOT NULL,  -- what it names, by kind; may be empty
	at INTEGER NOT NULL
) STRICT;

CREATE TABLE "credential" (
	id BLOB NOT NULL PRIMARY KEY,
	service_account BLOB NOT NULL,
	kind TEXT NOT NULL CHECK (kind IN ('secret', 'api_key', 'certificate', 'jwt')),
	secret_hash BLOB, -- SHA-256 of a random secret; NULL for a certificate and a jwt
	issuer TEXT,      -- jwt: the iss of its tokens
	subject TEXT,     -- certificate: its subject or a SAN; jwt: whom its tokens name
	expires_at INTEGER,
	last_used_at INTEGER, -- coarse: written at most once an hour
	created_at INTEGER NOT NULL,
	CHECK ((kind IN ('certificate', 'jwt')) = (subject IS NOT NULL)),
	CHECK ((kind IN ('certificate', 'jwt')) = (secret_hash IS NULL)),
	CHECK ((kind = 'jwt') = (issuer IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX credential_account ON credential (service_account, id);

CREATE UNIQUE INDEX credential_subject ON credential (subject) WHERE kind = 'certificate';

CREATE UNIQUE INDEX credential_token ON credential (issuer, subject) WHERE kind = 'jwt';

CREATE TABLE guard (
	ok INTEGER NOT NULL CHECK (ok = 1)
) STRICT;

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

CREATE TABLE identity (
	id BLOB NOT NULL PRIMARY KEY,
	issuer TEXT NOT NULL,   -- iss
	subject TEXT NOT NULL,  -- sub
	principal BLOB NOT NULL, -- user
	email TEXT,
	last_used_at INTEGER,
	created_at INTEGER NOT NULL,
	UNIQUE (issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX identity_principal ON identity (principal, id);

CREATE TABLE known_network (
	account BLOB NOT NULL,
	network BLOB NOT NULL,
	seen_at INTEGER NOT NULL, -- coarse: written once a day
	PRIMARY KEY (account, network)
) STRICT, WITHOUT ROWID;

CREATE INDEX known_network_seen ON known_network (seen_at);

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

CREATE TABLE mfa_challenge (
	hash BLOB NOT NULL PRIMARY KEY, -- SHA-256 of purpose and token
	principal BLOB NOT NULL,
	amr TEXT NOT NULL,              -- how the first factor was given: "pwd"
	tries INTEGER NOT NULL DEFAULT 0,
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX mfa_challenge_expires ON mfa_challenge (expires_at);

CREATE INDEX mfa_challenge_principal ON mfa_challenge (principal);

CREATE TABLE mfa_recovery_code (
	principal BLOB NOT NULL,
	hash BLOB NOT NULL, -- HMAC under the master key, of user and code
	PRIMARY KEY (principal, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE mfa_totp (
	principal BLOB NOT NULL PRIMARY KEY, -- user
	secret BLOB,             -- sealed by the master key, bound to the user
	pending BLOB,            -- likewise
	confirmed_at INTEGER,    -- when `secret` was
	last_step INTEGER NOT NULL DEFAULT -1, -- of the last code accepted: only later ones are
	tries INTEGER NOT NULL DEFAULT 0,      -- answers since the last right one, while tries_until
	tries_until INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE oidc_handoff (
	hash BLOB NOT NULL PRIMARY KEY, -- SHA-256 of purpose and code
	finish_hash BLOB NOT NULL,      -- of the token that whoever began it has
	principal BLOB NOT NULL,        -- user
	identity BLOB NOT NULL,
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX oidc_handoff_expires ON oidc_handoff (expires_at);

CREATE INDEX oidc_handoff_principal ON oidc_handoff (principal);

CREATE TABLE oidc_state (
	hash BLOB NOT NULL PRIMARY KEY, -- SHA-256 of purpose and state
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX oidc_state_expires ON oidc_state (expires_at);

CREATE TABLE one_time_token (
	hash BLOB NOT NULL PRIMARY KEY, -- SHA-256 of kind and token
	kind TEXT NOT NULL CHECK (kind IN ('verify', 'reset')),
	principal BLOB NOT NULL,        -- user
	email_fold TEXT NOT NULL,       -- that the mail went to; once the user has another: void
	expires_at INTEGER NOT NULL,
	used_at INTEGER,
	created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX one_time_token_expires ON one_time_token (expires_at);

CREATE UNIQUE INDEX one_time_token_principal ON one_time_token (principal, kind);

CREATE TABLE op (
	op_id BLOB NOT NULL PRIMARY KEY,
	fenced INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE role (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	tenant TEXT,
	built_in INTEGER NOT NULL DEFAULT 0 CHECK (built_in IN (0, 1)),
	version INTEGER NOT NULL DEFAULT 1,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX role_tenant ON role (tenant, id);

CREATE TABLE role_grant (
	role TEXT NOT NULL,
	"right" TEXT NOT NULL,
	resource TEXT NOT NULL DEFAULT '*',
	PRIMARY KEY (role, "right", resource)
) STRICT, WITHOUT ROWID;

CREATE TABLE routing_revision (
	revision INTEGER PRIMARY KEY,
	document TEXT NOT NULL, -- JSON, as validated
	author BLOB,            -- principal; NULL: the command line
	note TEXT,
	at INTEGER NOT NULL
, patch INTEGER NOT NULL DEFAULT 0 CHECK (patch IN (0, 1))) STRICT;

CREATE INDEX routing_revision_whole ON routing_revision (revision) WHERE patch = 0;

CREATE TABLE routing_snapshot (
	revision INTEGER PRIMARY KEY,
	document TEXT NOT NULL -- JSON, as validated
) STRICT;

CREATE TABLE schema_migrations (
	version INTEGER PRIMARY KEY,
	name TEXT NOT NULL,
	checksum TEXT NOT NULL, -- SHA-256 of the migration's text, hex
	applied_at INTEGER NOT NULL
) STRICT;

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

CREATE INDEX service_account_tenant ON service_account (tenant, id);

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
, email TEXT) STRICT, WITHOUT ROWID;

CREATE INDEX session_expires ON session (expires_at);

CREATE INDEX session_principal ON session (principal, id);

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

CREATE TABLE tenant (
	id TEXT NOT NULL PRIMARY KEY, -- [a-z0-9][a-z0-9-]{0,62}
	name TEXT NOT NULL,
	disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
	version INTEGER NOT NULL DEFAULT 1,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tries (
	key BLOB NOT NULL PRIMARY KEY,
	n INTEGER NOT NULL,        -- as of `at`; they are forgotten one by one
	at INTEGER NOT NULL,       -- of the last event
	drop_at INTEGER NOT NULL   -- all are forgotten
) STRICT, WITHOUT ROWID;

CREATE INDEX tries_drop ON tries (drop_at);

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
, created_by BLOB) STRICT, WITHOUT ROWID;

CREATE INDEX user_disabled ON user (id) WHERE disabled = 1;

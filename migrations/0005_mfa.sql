-- Second factors: TOTP (RFC 6238), recovery codes, and sign-ins that wait for one of them.

-- An authenticator is enrolled as `pending` and becomes `secret` once a code of it was given; until
-- then the one before it, if any, stays. While `secret` is there nobody signs in without it.
CREATE TABLE mfa_totp (
	principal BLOB NOT NULL PRIMARY KEY, -- user
	secret BLOB,             -- sealed by the master key, bound to the user
	pending BLOB,            -- likewise
	confirmed_at INTEGER,    -- when `secret` was
	last_step INTEGER NOT NULL DEFAULT -1, -- of the last code accepted: only later ones are
	tries INTEGER NOT NULL DEFAULT 0,      -- answers since the last right one, while tries_until
	tries_until INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Deleted when used.
CREATE TABLE mfa_recovery_code (
	principal BLOB NOT NULL,
	hash BLOB NOT NULL, -- HMAC under the master key, of user and code
	PRIMARY KEY (principal, hash)
) STRICT, WITHOUT ROWID;

-- A first factor was right. Deleted when the second is; each answer counts before it is looked at.
CREATE TABLE mfa_challenge (
	hash BLOB NOT NULL PRIMARY KEY, -- SHA-256 of purpose and token
	principal BLOB NOT NULL,
	amr TEXT NOT NULL,              -- how the first factor was given: "pwd"
	tries INTEGER NOT NULL DEFAULT 0,
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mfa_challenge_principal ON mfa_challenge (principal);
CREATE INDEX mfa_challenge_expires ON mfa_challenge (expires_at);

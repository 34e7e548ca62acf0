-- Who somebody is at another provider (OpenID Connect), and what of a sign-in there happens once.

-- A user may have several; each belongs to one user. The issuer and its subject are the identity, for
-- ever; the address is only what the provider last said.
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

-- Callbacks that were used, until they would have expired.
CREATE TABLE oidc_state (
	hash BLOB NOT NULL PRIMARY KEY, -- SHA-256 of purpose and state
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oidc_state_expires ON oidc_state (expires_at);

-- Sign-ins that went back to an application, to be picked up there. Deleted when they are.
CREATE TABLE oidc_handoff (
	hash BLOB NOT NULL PRIMARY KEY, -- SHA-256 of purpose and code
	finish_hash BLOB NOT NULL,      -- of the token that whoever began it has
	principal BLOB NOT NULL,        -- user
	identity BLOB NOT NULL,
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oidc_handoff_principal ON oidc_handoff (principal);
CREATE INDEX oidc_handoff_expires ON oidc_handoff (expires_at);

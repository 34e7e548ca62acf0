-- Service accounts by tokens of other issuers: a credential that names issuer and subject. SQLite changes
-- no CHECK of a table that exists, so the table is made anew around its rows.

CREATE TABLE credential_next (
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
INSERT INTO credential_next (id, service_account, kind, secret_hash, subject, expires_at, last_used_at, created_at)
	SELECT id, service_account, kind, secret_hash, subject, expires_at, last_used_at, created_at FROM credential;
DROP TABLE credential;
ALTER TABLE credential_next RENAME TO credential;
CREATE INDEX credential_account ON credential (service_account, id);
CREATE UNIQUE INDEX credential_subject ON credential (subject) WHERE kind = 'certificate';
CREATE UNIQUE INDEX credential_token ON credential (issuer, subject) WHERE kind = 'jwt';

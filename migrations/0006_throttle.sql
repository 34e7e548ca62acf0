-- What slows down guessing. Keys are MACs under the master key, of an address, a network or both, so
-- the tables tell nobody who tried what, and accounts that do not exist are counted like those that do.

-- Events that count against a key: refused attempts, letters sent. A row is worth nothing once all of
-- its events are forgotten.
CREATE TABLE tries (
	key BLOB NOT NULL PRIMARY KEY,
	n INTEGER NOT NULL,        -- as of `at`; they are forgotten one by one
	at INTEGER NOT NULL,       -- of the last event
	drop_at INTEGER NOT NULL   -- all are forgotten
) STRICT, WITHOUT ROWID;
CREATE INDEX tries_drop ON tries (drop_at);

-- From where the owner of an account has signed in: strangers' attempts don't slow it down there.
CREATE TABLE known_network (
	account BLOB NOT NULL,
	network BLOB NOT NULL,
	seen_at INTEGER NOT NULL, -- coarse: written once a day
	PRIMARY KEY (account, network)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_network_seen ON known_network (seen_at);

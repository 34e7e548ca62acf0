-- What lists and guards of the identity core need: each list is one walk along an index in the order
-- of its keyset, however many rows there are.

-- Who made a user: until the user is assigned somewhere, its maker alone may assign it.
-- NULL: signed up by itself, or made by the command line.
ALTER TABLE user ADD COLUMN created_by BLOB;

CREATE INDEX user_disabled ON user (id) WHERE disabled = 1;
CREATE INDEX assignment_member ON assignment (tenant, principal);
CREATE INDEX assignment_by_role ON assignment (role, id);
CREATE INDEX service_account_tenant ON service_account (tenant, id);
CREATE INDEX role_tenant ON role (tenant, id);

-- For trimming: the absolute limit of a session never moves, so rotation touches no index.
CREATE INDEX session_expires ON session (expires_at);

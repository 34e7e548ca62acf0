-- What a refresh answers stands in the row that it changes, so that it is one statement, which returns
-- it: on rqlite a read beside each costs as much again, and RETURNING takes no subquery there.

-- The address of the user, as in its row; kept alike by whoever changes that. NULL: made by a release
-- that did not know the column, and to be looked up.
ALTER TABLE session ADD COLUMN email TEXT;

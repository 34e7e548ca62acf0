-- Revisions of the routing document as what each changed.

-- 1: `document` is the merge patch (RFC 7396) that makes this revision of the one before. 0: the revision
-- is whole; its text is in routing_snapshot, or here when a release before this one wrote it.
ALTER TABLE routing_revision ADD COLUMN patch INTEGER NOT NULL DEFAULT 0 CHECK (patch IN (0, 1));

-- Whole documents of some revisions: a revision is the nearest of them before it, and the patches since.
-- Apart from their rows, so that a list of revisions does not read through them.
CREATE TABLE routing_snapshot (
	revision INTEGER PRIMARY KEY,
	document TEXT NOT NULL -- JSON, as validated
) STRICT;

CREATE INDEX routing_revision_whole ON routing_revision (revision) WHERE patch = 0;

-- What operators did, in a chain: each digest covers the row and the digest before it (headgate/core/audit.py).
-- AUTOINCREMENT remembers the highest number, so that rows that are missing at the end show.

CREATE TABLE audit (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms   INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    before  TEXT,
    after   TEXT,
    digest  TEXT NOT NULL
);

CREATE TRIGGER audit_is_not_altered BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'audit rows stay'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'audit rows stay'); END;

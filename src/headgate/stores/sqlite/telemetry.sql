CREATE TABLE layouts (
    digest BLOB PRIMARY KEY,
    packed BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE samples (
    step_ms  INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,
    instance TEXT NOT NULL,
    layout   BLOB NOT NULL,
    packed   BLOB NOT NULL,
    UNIQUE (step_ms, at_ms, instance)
);

CREATE INDEX samples_by_layout ON samples (layout);

CREATE TABLE leases (
    name     TEXT PRIMARY KEY,
    holder   TEXT NOT NULL,
    until_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE evaluations (
    at_ms    INTEGER NOT NULL,
    instance TEXT NOT NULL
);

CREATE TABLE exemplars (
    metric TEXT NOT NULL,
    label  TEXT NOT NULL,
    at_ms  INTEGER NOT NULL,
    what   TEXT NOT NULL,
    amount REAL NOT NULL
);

CREATE INDEX exemplars_by_time ON exemplars (metric, label, at_ms);

CREATE TABLE admin_addresses (
    address TEXT PRIMARY KEY,
    seen_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE alerts (
    rule     TEXT NOT NULL,
    labels   TEXT NOT NULL,
    value    REAL,
    since_ms INTEGER NOT NULL,
    fired_ms INTEGER,
    told_ms  INTEGER,
    low      REAL,
    high     REAL,
    PRIMARY KEY (rule, labels)
) WITHOUT ROWID;

CREATE TABLE alert_log (
    key         TEXT PRIMARY KEY,
    rule        TEXT NOT NULL,
    severity    TEXT NOT NULL,
    title       TEXT NOT NULL,
    labels      TEXT NOT NULL,
    fired_ms    INTEGER NOT NULL,
    resolved_ms INTEGER
) WITHOUT ROWID;

CREATE INDEX alert_log_by_time ON alert_log (fired_ms);

CREATE TABLE silences (
    id       TEXT PRIMARY KEY,
    rule     TEXT,
    labels   TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    why      TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE acknowledgements (
    key      TEXT PRIMARY KEY,
    until_ms INTEGER NOT NULL,
    actor    TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY,
    sender       TEXT NOT NULL,
    notification TEXT NOT NULL,
    made_ms      INTEGER NOT NULL,
    tries        INTEGER NOT NULL DEFAULT 0,
    next_ms      INTEGER NOT NULL,
    problem      TEXT NOT NULL DEFAULT ''
);

CREATE TABLE reports (
    day      TEXT NOT NULL,
    receiver TEXT NOT NULL,
    sent_ms  INTEGER NOT NULL,
    PRIMARY KEY (day, receiver)
) WITHOUT ROWID;

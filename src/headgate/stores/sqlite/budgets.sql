CREATE TABLE accounts (
    budget    TEXT NOT NULL,
    who       TEXT NOT NULL,
    window    TEXT NOT NULL,
    settled   INTEGER NOT NULL DEFAULT 0,
    told      INTEGER NOT NULL DEFAULT 0,
    wanted_ms INTEGER NOT NULL DEFAULT 0,
    end_ms    INTEGER NOT NULL,
    used_ms   INTEGER NOT NULL,
    corrected INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (budget, who, window)
) WITHOUT ROWID;

CREATE TABLE grants (
    budget   TEXT NOT NULL,
    who      TEXT NOT NULL,
    window   TEXT NOT NULL,
    process  TEXT NOT NULL,
    amount   INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (budget, who, window, process)
) WITHOUT ROWID;

CREATE TABLE changes (
    number  INTEGER PRIMARY KEY,
    budget  TEXT NOT NULL,
    setting TEXT NOT NULL,
    value   TEXT,
    actor   TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    digest  TEXT NOT NULL
);

-- The text of calls, as far as it may be kept.  Names are those of headgate/safety/content/desk.py.

CREATE TABLE content (
    call_id    TEXT PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    workflow   TEXT NOT NULL,
    user       TEXT,
    session    TEXT,
    form       TEXT NOT NULL,
    request    TEXT NOT NULL,
    response   TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX content_by_time ON content (started_ms);
CREATE INDEX content_by_user ON content (user) WHERE user IS NOT NULL;

CREATE TABLE samples (
    workflow    TEXT NOT NULL,
    slot        INTEGER NOT NULL,
    call_id     TEXT NOT NULL,
    started_ms  INTEGER NOT NULL,
    user        TEXT,
    session     TEXT,
    model       TEXT,
    stop_reason TEXT,
    request     TEXT NOT NULL,
    response    TEXT NOT NULL,
    PRIMARY KEY (workflow, slot)
) WITHOUT ROWID;

-- How many calls were offered for samples.
CREATE TABLE offered (
    workflow TEXT PRIMARY KEY,
    calls    INTEGER NOT NULL
) WITHOUT ROWID;

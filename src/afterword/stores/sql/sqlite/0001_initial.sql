CREATE TABLE generations (
    id TEXT NOT NULL,
    project TEXT NOT NULL,
    name TEXT,
    version TEXT,
    parent_id TEXT,
    root_id TEXT,
    session TEXT,
    user TEXT,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    duration_ms REAL,
    first_token_ms REAL,
    inputs TEXT,
    messages TEXT,
    output TEXT,
    error TEXT,
    model TEXT,
    provider TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cost_usd REAL,
    tags TEXT,
    metadata TEXT,
    trace_id TEXT,
    span_id TEXT,
    patch TEXT,
    PRIMARY KEY (id, project)
) STRICT;

CREATE INDEX generations_newest ON generations (project, created_at, id);

CREATE TABLE feedback (
    id TEXT NOT NULL,
    project TEXT NOT NULL,
    data_id TEXT NOT NULL,
    type TEXT NOT NULL,
    label TEXT NOT NULL,
    several INTEGER NOT NULL,
    value TEXT,
    sentiment TEXT,
    signal TEXT NOT NULL,
    user TEXT,
    subject TEXT,
    rater TEXT NOT NULL,
    source TEXT NOT NULL,
    comment TEXT,
    metadata TEXT,
    created_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    unset INTEGER NOT NULL,
    provisional INTEGER NOT NULL,
    PRIMARY KEY (id, project)
) STRICT;

CREATE INDEX feedback_of_generation ON feedback (data_id, project, type, rater);
CREATE INDEX feedback_provisional ON feedback (data_id) WHERE provisional = 1;

CREATE TABLE current_feedback (
    project TEXT NOT NULL,
    data_id TEXT NOT NULL,
    type TEXT NOT NULL,
    rater TEXT NOT NULL,
    label TEXT NOT NULL,
    value TEXT,
    sentiment TEXT,
    PRIMARY KEY (data_id, project, type, rater, label)
) STRICT, WITHOUT ROWID;

CREATE INDEX current_feedback_by_value ON current_feedback (project, type, value, data_id);

CREATE TABLE aliases (
    external_id TEXT NOT NULL,
    project TEXT NOT NULL,
    data_id TEXT NOT NULL,
    PRIMARY KEY (external_id, project)
) STRICT, WITHOUT ROWID;

CREATE TABLE feedback_types (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (project, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

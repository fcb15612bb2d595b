-- Text compares by code point, as in every other store.

-- Which generations there are, since a key of the partitioned table has to hold the partition's time.
CREATE TABLE generation_keys (
    id TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id, project)
);
CREATE INDEX generation_keys_by_time ON generation_keys (created_at);

CREATE TABLE generations (
    id TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    name TEXT,
    version TEXT,
    parent_id TEXT,
    root_id TEXT,
    session TEXT,
    "user" TEXT,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    duration_ms DOUBLE PRECISION,
    first_token_ms DOUBLE PRECISION,
    inputs TEXT,
    messages TEXT,
    output TEXT,
    error TEXT,
    model TEXT,
    provider TEXT,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cost_usd DOUBLE PRECISION,
    tags TEXT,
    metadata TEXT,
    trace_id TEXT,
    span_id TEXT,
    patch TEXT,
    PRIMARY KEY (project, created_at, id)
) PARTITION BY RANGE (created_at);
CREATE INDEX generations_by_time ON generations (created_at, id);
CREATE INDEX generations_by_user ON generations ("user") WHERE "user" IS NOT NULL;

-- What is older or younger than partitions are made for.
CREATE TABLE generations_of_other_times PARTITION OF generations DEFAULT;

CREATE TABLE feedback (
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    id TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    data_id TEXT COLLATE "C" NOT NULL,
    type TEXT NOT NULL,
    label TEXT NOT NULL,
    several BOOLEAN NOT NULL,
    value TEXT,
    sentiment TEXT,
    signal TEXT NOT NULL,
    "user" TEXT,
    subject TEXT,
    rater TEXT NOT NULL,
    source TEXT NOT NULL,
    comment TEXT,
    metadata TEXT,
    created_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    unset BOOLEAN NOT NULL,
    provisional BOOLEAN NOT NULL,
    PRIMARY KEY (id, project)
);
CREATE INDEX feedback_of_generation ON feedback (data_id, project, type, rater);
CREATE INDEX feedback_provisional ON feedback (data_id) WHERE provisional;
CREATE INDEX feedback_by_user ON feedback ("user") WHERE "user" IS NOT NULL;

CREATE TABLE current_feedback (
    project TEXT COLLATE "C" NOT NULL,
    data_id TEXT COLLATE "C" NOT NULL,
    type TEXT NOT NULL,
    rater TEXT NOT NULL,
    label TEXT NOT NULL,
    value TEXT,
    sentiment TEXT,
    PRIMARY KEY (data_id, project, type, rater, label)
);

CREATE TABLE aliases (
    external_id TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    data_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (external_id, project)
);

CREATE TABLE feedback_types (
    project TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (project, name)
);

CREATE TABLE settings (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE documents (
    kind TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, project, name)
);

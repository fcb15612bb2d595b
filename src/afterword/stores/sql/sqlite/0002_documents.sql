CREATE TABLE documents (
    kind TEXT NOT NULL,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, project, name)
) STRICT, WITHOUT ROWID;

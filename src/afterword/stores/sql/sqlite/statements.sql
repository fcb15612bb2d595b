-- name: insert_generation
INSERT INTO generations (
    id, project, name, version, parent_id, root_id, session, user, status, created_at,
    duration_ms, first_token_ms, inputs, messages, output, error, model, provider,
    input_tokens, output_tokens, cost_usd, tags, metadata, trace_id, span_id, patch
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: replace_generation
INSERT OR REPLACE INTO generations (
    id, project, name, version, parent_id, root_id, session, user, status, created_at,
    duration_ms, first_token_ms, inputs, messages, output, error, model, provider,
    input_tokens, output_tokens, cost_usd, tags, metadata, trace_id, span_id, patch
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: select_generation
SELECT
    g.id, g.project, g.name, g.version, g.parent_id, g.root_id, g.session, g.user, g.status,
    g.created_at, g.duration_ms, g.first_token_ms, g.inputs, g.messages, g.output, g.error,
    g.model, g.provider, g.input_tokens, g.output_tokens, g.cost_usd, g.tags, g.metadata,
    g.trace_id, g.span_id, g.patch
FROM generations AS g

-- name: by_id
WHERE g.id = :id AND (:project IS NULL OR g.project = :project)
ORDER BY g.status = 'waiting', g.created_at LIMIT 1;

-- name: by_ids
WHERE g.id IN (SELECT value FROM json_each(:data_ids));

-- name: project_of
SELECT project, status FROM generations WHERE id = :id
ORDER BY status = 'waiting', project <> :project, created_at LIMIT 1;

-- name: newest_first
ORDER BY g.created_at DESC, g.id DESC, g.project DESC LIMIT :limit

-- name: where_project
g.project = :project
-- name: where_name
g.name = :name
-- name: where_version
g.version = :version
-- name: where_model
g.model = :model
-- name: where_status
g.status = :status
-- name: where_user
g.user = :user
-- name: where_session
g.session = :session
-- name: where_since
g.created_at >= :since
-- name: where_until
g.created_at < :until
-- name: where_after
(g.created_at, g.id, g.project) < (:after_created_at, :after_id, :after_project)
-- name: where_sentiment
EXISTS (
    SELECT 1 FROM current_feedback AS c
    WHERE c.data_id = g.id AND c.project = g.project AND c.sentiment = :sentiment
)
-- name: where_signal
EXISTS (
    SELECT 1 FROM current_feedback AS c JOIN feedback AS f
        ON f.data_id = c.data_id AND f.project = c.project AND f.type = c.type AND f.rater = c.rater
        AND f.label = c.label AND f.value IS c.value AND NOT f.unset
    WHERE c.data_id = g.id AND c.project = g.project AND f.signal = :signal
)
-- name: where_text
(g.inputs LIKE :text ESCAPE '!' OR g.output LIKE :text ESCAPE '!' OR g.messages LIKE :text ESCAPE '!'
    OR g.error LIKE :text ESCAPE '!')
-- name: where_feedback
json_array_length(:feedback) = (
    SELECT count(DISTINCT c.type)
    FROM json_each(:feedback) AS wanted JOIN current_feedback AS c
        ON c.type = wanted.value ->> 'type'
        AND (wanted.value ->> 'any' OR c.value = wanted.value ->> 'value')
    WHERE c.data_id = g.id AND c.project = g.project
)

-- name: insert_feedback
INSERT INTO feedback (
    id, project, data_id, type, label, several, value, sentiment, signal, user, subject, rater,
    source, comment, metadata, created_at, received_at, unset, provisional
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: places_of_feedback
-- For each of the rows: whether anything was said under its ID or its key, and where its generation is.
SELECT json_group_array(json_array(
    EXISTS (SELECT 1 FROM feedback AS f WHERE f.id = row.value ->> 'id')
    OR EXISTS (
        SELECT 1 FROM feedback AS f
        WHERE f.data_id = row.value ->> 'data_id' AND f.type = row.value ->> 'type'
            AND f.rater = row.value ->> 'rater'
    ),
    (
        SELECT json_array(g.project, g.status) FROM generations AS g
        WHERE g.id = row.value ->> 'data_id'
        ORDER BY g.status = 'waiting', g.project <> row.value ->> 'project', g.created_at LIMIT 1
    )
)) FROM json_each(:rows) AS row;

-- name: select_feedback
SELECT
    f.id, f.project, f.data_id, f.type, f.label, f.several, f.value, f.sentiment, f.signal,
    f.user, f.subject, f.rater, f.source, f.comment, f.metadata, f.created_at, f.received_at,
    f.unset, f.provisional
FROM feedback AS f

-- name: same_feedback
WHERE (f.id = :id AND f.project = :project) OR (
    f.data_id = :data_id AND f.project = :project AND f.type = :type AND f.rater = :rater
    AND f.label = :label AND f.value IS :value AND f.unset = :unset
    AND f.created_at = :created_at
) LIMIT 1;

-- name: by_key
WHERE f.data_id = :data_id AND f.project = :project AND f.type = :type AND f.rater = :rater

-- name: by_generations
WHERE f.data_id IN (SELECT value FROM json_each(:data_ids))
    AND (:project IS NULL OR f.project = :project)
ORDER BY f.created_at, f.received_at, f.id;

-- name: drop_feedback
DELETE FROM feedback WHERE id = ? AND project = ?;

-- name: drop_current
DELETE FROM current_feedback
WHERE data_id = :data_id AND project = :project AND type = :type AND rater = :rater;

-- name: insert_current
INSERT INTO current_feedback (project, data_id, type, rater, label, value, sentiment)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: awaited
SELECT DISTINCT data_id FROM feedback
WHERE provisional = 1 AND data_id IN (SELECT value FROM json_each(:data_ids));

-- name: settle_feedback
UPDATE feedback SET
    provisional = 0,
    project = :project,
    -- IDs chosen outside may be taken in that project; what was acknowledged is kept under another.
    id = CASE WHEN project <> :project AND EXISTS (
        SELECT 1 FROM feedback AS f WHERE f.id = feedback.id AND f.project = :project
    ) THEN substr(id, 1, 100) || '.' || rowid ELSE id END
WHERE data_id = :data_id AND provisional = 1;

-- name: clear_current
DELETE FROM current_feedback WHERE data_id = :data_id AND (project = :project OR project IN (
    SELECT project FROM feedback WHERE data_id = :data_id AND provisional = 1
));

-- name: drop_stubs
DELETE FROM generations
WHERE id = :data_id AND status = 'waiting' AND project <> :project AND project IN (
    SELECT project FROM feedback WHERE data_id = :data_id AND provisional = 1
);

-- name: resolve_alias
SELECT data_id FROM aliases
WHERE external_id = :external_id AND (:project IS NULL OR project = :project) LIMIT 1;

-- name: put_alias
INSERT OR REPLACE INTO aliases (external_id, project, data_id) VALUES (?, ?, ?);

-- name: feedback_types
SELECT name, definition FROM feedback_types WHERE project = :project ORDER BY name;

-- name: put_feedback_type
INSERT OR REPLACE INTO feedback_types (project, name, definition) VALUES (?, ?, ?);

-- name: projects
WITH RECURSIVE found (project) AS (
    SELECT min(project) FROM generations
    UNION ALL
    SELECT (SELECT min(g.project) FROM generations AS g WHERE g.project > found.project)
    FROM found WHERE found.project IS NOT NULL
)
SELECT project FROM found WHERE project IS NOT NULL
UNION SELECT project FROM feedback_types
ORDER BY 1;

-- name: get_setting
SELECT value FROM settings WHERE name = :name;

-- name: make_setting
INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: erase_aliases
DELETE FROM aliases
WHERE (:project IS NULL OR project = :project)
    AND EXISTS (SELECT 1 FROM generations AS g WHERE g.id = aliases.data_id AND g.user = :user)
    AND NOT EXISTS (
        SELECT 1 FROM generations AS g WHERE g.id = aliases.data_id AND g.user IS NOT :user
    );

-- name: erase_stubs
DELETE FROM generations
WHERE status = 'waiting' AND patch IS NULL AND (:project IS NULL OR project = :project)
    AND (id, project) IN (SELECT data_id, project FROM feedback WHERE user = :user)
    AND NOT EXISTS (
        SELECT 1 FROM feedback AS f
        WHERE f.data_id = generations.id AND f.project = generations.project
            AND f.user IS NOT :user
    );

-- name: erase_feedback
DELETE FROM feedback
WHERE (:project IS NULL OR project = :project) AND (
    user = :user OR (data_id, project) IN (SELECT id, project FROM generations WHERE user = :user)
);

-- name: erase_current
DELETE FROM current_feedback
WHERE (:project IS NULL OR project = :project) AND (
    rater = :user OR (data_id, project) IN (SELECT id, project FROM generations WHERE user = :user)
);

-- name: erase_generations
DELETE FROM generations WHERE user = :user AND (:project IS NULL OR project = :project);

-- name: document
SELECT body FROM documents WHERE kind = :kind AND project = :project AND name = :name;

-- name: removals
SELECT
    (SELECT body FROM documents WHERE kind = 'retention' AND project = '' AND name = 'floor'),
    EXISTS (SELECT 1 FROM documents WHERE kind = 'tombstone');

-- name: old_generations
SELECT rowid FROM generations
WHERE project = :project AND created_at < :until ORDER BY created_at LIMIT 1000;

-- name: drop_old_current
DELETE FROM current_feedback WHERE (data_id, project) IN (
    SELECT id, project FROM generations WHERE rowid IN (SELECT value FROM json_each(:numbers))
);

-- name: drop_old_feedback
DELETE FROM feedback WHERE (data_id, project) IN (
    SELECT id, project FROM generations WHERE rowid IN (SELECT value FROM json_each(:numbers))
);

-- name: drop_old_aliases
DELETE FROM aliases WHERE (data_id, project) IN (
    SELECT id, project FROM generations WHERE rowid IN (SELECT value FROM json_each(:numbers))
);

-- name: drop_old_generations
DELETE FROM generations WHERE rowid IN (SELECT value FROM json_each(:numbers));

-- name: documents
SELECT project, name, body FROM documents
WHERE kind = :kind AND (:project IS NULL OR project = :project)
ORDER BY project, name;

-- name: put_document
INSERT INTO documents (kind, project, name, body) VALUES (:kind, :project, :name, :body)
ON CONFLICT DO UPDATE SET body = excluded.body WHERE :replace;

-- name: drop_document
DELETE FROM documents WHERE kind = :kind AND project = :project AND name = :name;

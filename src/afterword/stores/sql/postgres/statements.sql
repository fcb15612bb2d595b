-- name: lock
-- In one statement, and the next one sees what they waited for: its snapshot is taken afterwards.
SELECT pg_advisory_xact_lock_shared(%(gone)s) UNION ALL
SELECT pg_advisory_xact_lock(key)
FROM (SELECT unnest(%(keys)s::bigint[]) AS key ORDER BY 1) AS ordered;

-- name: lock_out_writers
SELECT pg_advisory_xact_lock(%(gone)s);

-- name: schema_version
SELECT version FROM afterword_schema;

-- name: insert_keys
INSERT INTO generation_keys (id, project, created_at)
SELECT * FROM unnest(%(ids)s::text[], %(projects)s::text[], %(times)s::bigint[])
ON CONFLICT DO NOTHING
RETURNING id, project;

-- name: move_key
UPDATE generation_keys SET created_at = %(created_at)s WHERE id = %(id)s AND project = %(project)s;

-- name: insert_generations
INSERT INTO generations (
    id, project, name, version, parent_id, root_id, session, "user", status, created_at,
    duration_ms, first_token_ms, inputs, messages, output, error, model, provider,
    input_tokens, output_tokens, cost_usd, tags, metadata, trace_id, span_id, patch
) SELECT * FROM unnest(
    %(id)s::text[], %(project)s::text[], %(name)s::text[], %(version)s::text[],
    %(parent_id)s::text[], %(root_id)s::text[], %(session)s::text[], %(user)s::text[],
    %(status)s::text[], %(created_at)s::bigint[], %(duration_ms)s::double precision[],
    %(first_token_ms)s::double precision[], %(inputs)s::text[], %(messages)s::text[],
    %(output)s::text[], %(error)s::text[], %(model)s::text[], %(provider)s::text[],
    %(input_tokens)s::bigint[], %(output_tokens)s::bigint[], %(cost_usd)s::double precision[],
    %(tags)s::text[], %(metadata)s::text[], %(trace_id)s::text[], %(span_id)s::text[],
    %(patch)s::text[]
);

-- name: drop_generation
DELETE FROM generations
WHERE project = %(project)s AND created_at = %(created_at)s AND id = %(id)s;

-- name: select_generation
SELECT
    g.id, g.project, g.name, g.version, g.parent_id, g.root_id, g.session, g."user", g.status,
    g.created_at, g.duration_ms, g.first_token_ms, g.inputs, g.messages, g.output, g.error,
    g.model, g.provider, g.input_tokens, g.output_tokens, g.cost_usd, g.tags, g.metadata,
    g.trace_id, g.span_id, g.patch
FROM generations AS g

-- name: by_id
JOIN generation_keys AS k ON k.id = g.id AND k.project = g.project AND k.created_at = g.created_at
WHERE k.id = %(id)s AND (%(project)s::text IS NULL OR k.project = %(project)s)
ORDER BY g.status = 'waiting', g.created_at LIMIT 1;

-- name: by_keys
JOIN generation_keys AS k ON k.id = g.id AND k.project = g.project AND k.created_at = g.created_at
WHERE (k.id, k.project) IN (SELECT * FROM unnest(%(ids)s::text[], %(projects)s::text[]));

-- name: by_ids
JOIN generation_keys AS k ON k.id = g.id AND k.project = g.project AND k.created_at = g.created_at
WHERE k.id = ANY(%(data_ids)s);

-- name: project_of
SELECT g.project, g.status FROM generations AS g
JOIN generation_keys AS k ON k.id = g.id AND k.project = g.project AND k.created_at = g.created_at
WHERE k.id = %(id)s
ORDER BY g.status = 'waiting', g.project IS DISTINCT FROM %(project)s, g.created_at LIMIT 1;

-- name: newest_first
ORDER BY g.created_at DESC, g.id DESC, g.project DESC LIMIT %(limit)s

-- name: where_project
g.project = %(project)s
-- name: where_name
g.name = %(name)s
-- name: where_version
g.version = %(version)s
-- name: where_model
g.model = %(model)s
-- name: where_status
g.status = %(status)s
-- name: where_user
g."user" = %(user)s
-- name: where_session
g.session = %(session)s
-- name: where_since
g.created_at >= %(since)s
-- name: where_until
g.created_at < %(until)s
-- name: where_after
(g.created_at, g.id, g.project) < (%(after_created_at)s, %(after_id)s, %(after_project)s)
-- name: where_sentiment
EXISTS (
    SELECT 1 FROM current_feedback AS c
    WHERE c.data_id = g.id AND c.project = g.project AND c.sentiment = %(sentiment)s
)
-- name: where_signal
EXISTS (
    SELECT 1 FROM current_feedback AS c JOIN feedback AS f
        ON f.data_id = c.data_id AND f.project = c.project AND f.type = c.type AND f.rater = c.rater
        AND f.label = c.label AND f.value IS NOT DISTINCT FROM c.value AND NOT f.unset
    WHERE c.data_id = g.id AND c.project = g.project AND f.signal = %(signal)s
)
-- name: where_text
(g.inputs ILIKE %(text)s ESCAPE '!' OR g.output ILIKE %(text)s ESCAPE '!'
    OR g.messages ILIKE %(text)s ESCAPE '!' OR g.error ILIKE %(text)s ESCAPE '!')
-- name: where_feedback
cardinality(%(types)s::text[]) = (
    SELECT count(DISTINCT c.type)
    FROM unnest(%(types)s::text[], %(values)s::text[]) AS wanted (type, value)
    JOIN current_feedback AS c
        ON c.type = wanted.type AND (wanted.value IS NULL OR c.value = wanted.value)
    WHERE c.data_id = g.id AND c.project = g.project
)

-- name: insert_feedback
INSERT INTO feedback (
    id, project, data_id, type, label, several, value, sentiment, signal, "user", subject,
    rater, source, comment, metadata, created_at, received_at, unset, provisional
) VALUES (
    %(id)s, %(project)s, %(data_id)s, %(type)s, %(label)s, %(several)s, %(value)s,
    %(sentiment)s, %(signal)s, %(user)s, %(subject)s, %(rater)s, %(source)s, %(comment)s,
    %(metadata)s, %(created_at)s, %(received_at)s, %(unset)s, %(provisional)s
);

-- name: places_of_feedback
-- For each of the rows: whether anything was said under its ID or its key, and where its generation is.
SELECT
    EXISTS (SELECT 1 FROM feedback AS f WHERE f.id = row.id)
    OR EXISTS (
        SELECT 1 FROM feedback AS f
        WHERE f.data_id = row.data_id AND f.type = row.type AND f.rater = row.rater
    ),
    (
        SELECT ARRAY[g.project, g.status]::text[] FROM generations AS g
        JOIN generation_keys AS k
            ON k.id = g.id AND k.project = g.project AND k.created_at = g.created_at
        WHERE k.id = row.data_id
        ORDER BY g.status = 'waiting', g.project <> row.project, g.created_at LIMIT 1
    )
FROM unnest(
    %(id)s::text[], %(project)s::text[], %(data_id)s::text[], %(type)s::text[], %(rater)s::text[]
) WITH ORDINALITY AS row (id, project, data_id, type, rater, number)
ORDER BY row.number;

-- name: insert_feedback_rows
INSERT INTO feedback (
    id, project, data_id, type, label, several, value, sentiment, signal, "user", subject,
    rater, source, comment, metadata, created_at, received_at, unset, provisional
) SELECT * FROM unnest(
    %(id)s::text[], %(project)s::text[], %(data_id)s::text[], %(type)s::text[],
    %(label)s::text[], %(several)s::boolean[], %(value)s::text[], %(sentiment)s::text[],
    %(signal)s::text[], %(user)s::text[], %(subject)s::text[], %(rater)s::text[],
    %(source)s::text[], %(comment)s::text[], %(metadata)s::text[], %(created_at)s::bigint[],
    %(received_at)s::bigint[], %(unset)s::boolean[], %(provisional)s::boolean[]
);

-- name: insert_current_rows
INSERT INTO current_feedback (project, data_id, type, rater, label, value, sentiment)
SELECT * FROM unnest(
    %(project)s::text[], %(data_id)s::text[], %(type)s::text[], %(rater)s::text[],
    %(label)s::text[], %(value)s::text[], %(sentiment)s::text[]
);

-- name: select_feedback
SELECT
    f.id, f.project, f.data_id, f.type, f.label, f.several, f.value, f.sentiment, f.signal,
    f."user", f.subject, f.rater, f.source, f.comment, f.metadata, f.created_at, f.received_at,
    f.unset, f.provisional
FROM feedback AS f

-- name: same_feedback
WHERE (f.id = %(id)s AND f.project = %(project)s) OR (
    f.data_id = %(data_id)s AND f.project = %(project)s AND f.type = %(type)s
    AND f.rater = %(rater)s AND f.label = %(label)s
    AND f.value IS NOT DISTINCT FROM %(value)s::text AND f.unset = %(unset)s
    AND f.created_at = %(created_at)s
) LIMIT 1;

-- name: by_key
WHERE f.data_id = %(data_id)s AND f.project = %(project)s AND f.type = %(type)s
    AND f.rater = %(rater)s;

-- name: by_generations
WHERE f.data_id = ANY(%(data_ids)s) AND (%(project)s::text IS NULL OR f.project = %(project)s)
ORDER BY f.created_at, f.received_at, f.id;

-- name: drop_feedback
DELETE FROM feedback WHERE id = %(id)s AND project = %(project)s;

-- name: drop_current
DELETE FROM current_feedback
WHERE data_id = %(data_id)s AND project = %(project)s AND type = %(type)s AND rater = %(rater)s;

-- name: insert_current
INSERT INTO current_feedback (project, data_id, type, rater, label, value, sentiment)
VALUES (%(project)s, %(data_id)s, %(type)s, %(rater)s, %(label)s, %(value)s, %(sentiment)s);

-- name: awaited
SELECT DISTINCT data_id FROM feedback WHERE provisional AND data_id = ANY(%(data_ids)s);

-- name: settle_feedback
UPDATE feedback SET
    provisional = false,
    project = %(project)s,
    -- IDs chosen outside may be taken in that project; what was acknowledged is kept under another.
    id = CASE WHEN project <> %(project)s AND EXISTS (
        SELECT 1 FROM feedback AS f WHERE f.id = feedback.id AND f.project = %(project)s
    ) THEN left(id, 100) || '.' || number ELSE id END
WHERE data_id = %(data_id)s AND provisional;

-- name: clear_current
DELETE FROM current_feedback
WHERE data_id = %(data_id)s AND (project = %(project)s OR project IN (
    SELECT project FROM feedback WHERE data_id = %(data_id)s AND provisional
));

-- name: drop_stubs
WITH stubs AS (
    DELETE FROM generations AS g
    WHERE g.id = %(data_id)s AND g.status = 'waiting' AND g.project <> %(project)s
        AND g.project IN (
            SELECT project FROM feedback WHERE data_id = %(data_id)s AND provisional
        )
    RETURNING g.id, g.project
)
DELETE FROM generation_keys AS k USING stubs WHERE k.id = stubs.id AND k.project = stubs.project;

-- name: resolve_alias
SELECT data_id FROM aliases
WHERE external_id = %(external_id)s AND (%(project)s::text IS NULL OR project = %(project)s) LIMIT 1;

-- name: put_alias
INSERT INTO aliases (external_id, project, data_id)
VALUES (%(external_id)s, %(project)s, %(data_id)s)
ON CONFLICT (external_id, project) DO UPDATE SET data_id = excluded.data_id;

-- name: feedback_types
SELECT name, definition FROM feedback_types WHERE project = %(project)s ORDER BY name;

-- name: put_feedback_type
INSERT INTO feedback_types (project, name, definition)
VALUES (%(project)s, %(name)s, %(definition)s)
ON CONFLICT (project, name) DO UPDATE SET definition = excluded.definition;

-- name: projects
WITH RECURSIVE found (project) AS (
    SELECT min(project) FROM generation_keys
    UNION ALL
    SELECT (SELECT min(k.project) FROM generation_keys AS k WHERE k.project > found.project)
    FROM found WHERE found.project IS NOT NULL
)
SELECT project FROM found WHERE project IS NOT NULL
UNION SELECT project FROM feedback_types
ORDER BY 1;

-- name: get_setting
SELECT value FROM settings WHERE name = %(name)s;

-- name: make_setting
INSERT INTO settings (name, value) VALUES (%(name)s, %(value)s) ON CONFLICT DO NOTHING;

-- name: erase_aliases
DELETE FROM aliases
WHERE (%(project)s::text IS NULL OR project = %(project)s)
    AND EXISTS (
        SELECT 1 FROM generations AS g WHERE g.id = aliases.data_id AND g."user" = %(user)s
    )
    AND NOT EXISTS (
        SELECT 1 FROM generations AS g
        WHERE g.id = aliases.data_id AND g."user" IS DISTINCT FROM %(user)s
    );

-- name: erase_stubs
WITH gone AS (
    DELETE FROM generations AS g
    WHERE g.status = 'waiting' AND g.patch IS NULL
        AND (%(project)s::text IS NULL OR g.project = %(project)s)
        AND (g.id, g.project) IN (SELECT data_id, project FROM feedback WHERE "user" = %(user)s)
        AND NOT EXISTS (
            SELECT 1 FROM feedback AS f
            WHERE f.data_id = g.id AND f.project = g.project
                AND f."user" IS DISTINCT FROM %(user)s
        )
    RETURNING g.id, g.project
)
DELETE FROM generation_keys AS k USING gone WHERE k.id = gone.id AND k.project = gone.project;

-- name: erase_feedback
DELETE FROM feedback
WHERE (%(project)s::text IS NULL OR project = %(project)s) AND (
    "user" = %(user)s
    OR (data_id, project) IN (SELECT id, project FROM generations WHERE "user" = %(user)s)
);

-- name: erase_current
DELETE FROM current_feedback
WHERE (%(project)s::text IS NULL OR project = %(project)s) AND (
    rater = %(user)s
    OR (data_id, project) IN (SELECT id, project FROM generations WHERE "user" = %(user)s)
);

-- name: erase_generations
WITH gone AS (
    DELETE FROM generations
    WHERE "user" = %(user)s AND (%(project)s::text IS NULL OR project = %(project)s)
    RETURNING id, project
)
DELETE FROM generation_keys AS k USING gone WHERE k.id = gone.id AND k.project = gone.project;

-- name: drop_keys_before
WITH gone AS (
    DELETE FROM generation_keys WHERE created_at < %(until)s RETURNING id, project
), said AS (
    DELETE FROM feedback AS f USING gone WHERE f.data_id = gone.id AND f.project = gone.project
), standing AS (
    DELETE FROM current_feedback AS c USING gone
    WHERE c.data_id = gone.id AND c.project = gone.project
), called AS (
    DELETE FROM aliases AS a USING gone WHERE a.data_id = gone.id AND a.project = gone.project
)
SELECT count(*) FROM gone;

-- name: drop_generations_before
DELETE FROM generations WHERE created_at < %(until)s;

-- name: partitions
SELECT child.relname FROM pg_inherits AS link
JOIN pg_class AS child ON child.oid = link.inhrelid
JOIN pg_class AS parent ON parent.oid = link.inhparent
WHERE parent.oid = to_regclass('generations');

-- name: document
SELECT body FROM documents WHERE kind = %(kind)s AND project = %(project)s AND name = %(name)s;

-- name: removals
SELECT
    (SELECT body FROM documents WHERE kind = 'retention' AND project = '' AND name = 'floor'),
    EXISTS (SELECT 1 FROM documents WHERE kind = 'tombstone');

-- name: documents
SELECT project, name, body FROM documents
WHERE kind = %(kind)s AND (%(project)s::text IS NULL OR project = %(project)s)
ORDER BY project, name;

-- name: put_document
INSERT INTO documents (kind, project, name, body)
VALUES (%(kind)s, %(project)s, %(name)s, %(body)s)
ON CONFLICT (kind, project, name) DO UPDATE SET body = excluded.body WHERE %(replace)s;

-- name: drop_document
DELETE FROM documents WHERE kind = %(kind)s AND project = %(project)s AND name = %(name)s;

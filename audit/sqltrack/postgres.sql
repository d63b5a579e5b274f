-- A value as it is recorded: bytes and long texts as their length and their
-- beginning, all else as PostgreSQL writes it in JSON. Of a long document the
-- beginning stays away: cut into, it would not show which of its fields are secrets.
CREATE OR REPLACE FUNCTION auditadmin_value(v jsonb, is_binary boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $auditadmin$
SELECT CASE
    WHEN v IS NULL THEN 'null'
    WHEN jsonb_typeof(v) IN ('object', 'array') AND length(v::text) > @maxDocument@ THEN
        jsonb_build_object('$text', jsonb_build_object('length', length(v::text), 'sha256', encode(sha256(convert_to(v::text, 'UTF8')), 'hex')))
    WHEN jsonb_typeof(v) <> 'string' THEN v
    WHEN is_binary THEN jsonb_build_object('$blob', jsonb_build_object('length', (length(v #>> '{}') - 2) / 2, 'start', substr(v #>> '{}', 3, 2 * @blobStart@)))
    WHEN length(v #>> '{}') > @maxText@ THEN jsonb_build_object('$text', jsonb_build_object('length', length(v #>> '{}'), 'start', left(v #>> '{}', @textStart@)))
    ELSE v END
$auditadmin$;

-- What the transaction says of who acts, and nothing where that is no object.
CREATE OR REPLACE FUNCTION auditadmin_fields() RETURNS jsonb
LANGUAGE plpgsql STABLE AS $auditadmin$
DECLARE
    given text := current_setting('auditadmin.context', true);
    fields jsonb;
BEGIN
    IF coalesce(given, '') = '' THEN
        RETURN '{}';
    END IF;
    BEGIN
        fields := given::jsonb;
    EXCEPTION WHEN OTHERS THEN
        RETURN '{}'; -- a writer is not to fail for it
    END;
    RETURN CASE WHEN jsonb_typeof(fields) = 'object' THEN fields ELSE '{}' END;
END
$auditadmin$;

-- A row with documents of type json, which may hold what jsonb cannot: U+0000 is
-- written as U+2400, and half of a surrogate pair as U+FFFD. An even number of
-- backslashes stands for backslashes and escapes nothing.
CREATE OR REPLACE FUNCTION auditadmin_mended(v json) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $auditadmin$
SELECT regexp_replace(regexp_replace(regexp_replace(v::text,
    '(?<!\\)((?:\\\\)*)\\u0000', '\1\\u2400', 'g'),
    '(?<!\\)((?:\\\\)*)\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])', '\1\\ufffd', 'g'),
    '(?<!\\)(?<!\\u[dD][89abAB][0-9a-fA-F]{2})((?:\\\\)*)\\u[dD][c-fC-F][0-9a-fA-F]{2}', '\1\\ufffd', 'g')::jsonb
$auditadmin$;

-- One event a row. Its arguments: content_type, and the columns of the key, of
-- bytes, and of what is not recorded, each as an array, the table's name, and
-- whether it has documents of type json. It runs with the rights of its owner, so
-- that the writers need none on the inbox.
CREATE OR REPLACE FUNCTION auditadmin_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET bytea_output = 'hex' SET timezone = 'UTC' AS $auditadmin$
DECLARE
    key_columns text[] := TG_ARGV[1]::text[];
    old_row jsonb;
    new_row jsonb;
    named jsonb;
    changes jsonb;
    id text;
    repr text;
BEGIN
    IF TG_ARGV[5]::boolean THEN
        BEGIN
            old_row := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
            new_row := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
        EXCEPTION WHEN data_exception THEN -- a writer is not to fail for it
            old_row := CASE WHEN TG_OP <> 'INSERT' THEN auditadmin_mended(row_to_json(OLD)) END;
            new_row := CASE WHEN TG_OP <> 'DELETE' THEN auditadmin_mended(row_to_json(NEW)) END;
        END;
    ELSE
        old_row := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
        new_row := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    END IF;
    old_row := old_row - TG_ARGV[3]::text[];
    new_row := new_row - TG_ARGV[3]::text[];
    named := coalesce(old_row, new_row);
    SELECT jsonb_object_agg(key, jsonb_build_object(
               'old', auditadmin_value(o.value, key = ANY (TG_ARGV[2]::text[])),
               'new', auditadmin_value(n.value, key = ANY (TG_ARGV[2]::text[]))))
    INTO changes
    FROM jsonb_each(old_row) o FULL JOIN jsonb_each(new_row) n USING (key)
    WHERE coalesce(o.value, 'null') <> coalesce(n.value, 'null');
    IF TG_OP = 'UPDATE' AND changes IS NULL THEN
        RETURN NULL;
    END IF;
    IF cardinality(key_columns) = 1 THEN
        id := coalesce(named ->> key_columns[1], '');
    ELSE
        SELECT coalesce(string_agg(c || '=' || coalesce(named ->> c, ''), ',' ORDER BY c COLLATE "C"), '') INTO id FROM unnest(key_columns) AS c;
    END IF;
    SELECT named ->> c INTO repr
    FROM unnest(@reprColumns@) WITH ORDINALITY AS r (c, place)
    WHERE jsonb_typeof(named -> c) = 'string' AND named ->> c <> '' ORDER BY place LIMIT 1;
    INSERT INTO auditadmin_inbox (event) VALUES ('{"kind":"audit_log",' || substr((auditadmin_fields() || jsonb_build_object(
        'source', 'trigger',
        'action', CASE TG_OP WHEN 'INSERT' THEN 'CREATE' ELSE TG_OP END,
        'content_type', TG_ARGV[0],
        'object_id', id,
        'object_repr', left(coalesce(repr, TG_ARGV[4] || ' ' || id), @maxRepr@),
        'changes', coalesce(changes, '{}')))::text, 2));
    RETURN NULL;
END
$auditadmin$;

-- TRUNCATE names no rows. It is recorded as one event of the table, and as one of
-- each partition, whose name is the second argument: it may be emptied alone.
CREATE OR REPLACE FUNCTION auditadmin_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $auditadmin$
BEGIN
    INSERT INTO auditadmin_inbox (event) VALUES ('{"kind":"audit_log",' || substr((auditadmin_fields() || jsonb_build_object(
        'source', 'trigger', 'action', 'DELETE', 'content_type', TG_ARGV[0], 'object_repr', 'all rows' || coalesce(' of ' || TG_ARGV[1], '') || ', unattributed',
        'metadata', jsonb_strip_nulls(jsonb_build_object('unattributed', 'TRUNCATE names no rows', 'statement', 'TRUNCATE', 'partition', TG_ARGV[1]))))::text, 2));
    RETURN NULL;
END
$auditadmin$;

DO $auditadmin$
DECLARE
    here text := current_schema();
    t record;
    g record;
    f text;
    fits boolean;
    had boolean;
BEGIN
    CREATE TEMP TABLE auditadmin_report (name text, state text, reason text) ON COMMIT DROP;
    CREATE TEMP TABLE auditadmin_wanted (oid oid, name name, statement text) ON COMMIT DROP;
    FOREACH f IN ARRAY ARRAY['auditadmin_row()', 'auditadmin_truncate()'] LOOP
        EXECUTE format('ALTER FUNCTION %I.%s SET search_path = pg_catalog, %I, pg_temp', here, f, here);
    END LOOP;
    FOR t IN
        SELECT c.oid, c.relname::text AS name, format('%I.%I', here, c.relname) AS path,
            (SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::int2[], a.attnum))
                FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey::int2[])
                WHERE i.indrelid = c.oid AND i.indisprimary) AS key_columns,
            (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.atttypid = 'bytea'::regtype) AS bytes,
            (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attgenerated <> '') AS derived,
            EXISTS (SELECT FROM pg_attribute a JOIN pg_type d ON d.oid = a.atttypid
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND 'json'::regtype IN (d.oid, d.typelem, d.typbasetype)) AS documents
        FROM pg_class c
        WHERE c.relnamespace = here::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT LIKE 'auditadmin\_%'
            AND (cardinality(@tables@) = 0 OR lower(c.relname) = ANY (@tables@))
        ORDER BY c.relname
    LOOP
        -- The triggers that it needs: rows of partitions are the table's, but whoever
        -- empties a partition by its own name fires no trigger of the table.
        DELETE FROM auditadmin_wanted;
        INSERT INTO auditadmin_wanted
        SELECT t.oid, 'auditadmin_row', format('CREATE TRIGGER auditadmin_row AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION %I.auditadmin_row(%L, %L, %L, %L, %L, %L)',
            t.path, here, @prefix@ || t.name, coalesce(t.key_columns, '{}'), coalesce(t.bytes, '{}'), coalesce(t.derived, '{}'), t.name, t.documents)
        UNION ALL
        SELECT t.oid, 'auditadmin_truncate', format('CREATE TRIGGER auditadmin_truncate AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %I.auditadmin_truncate(%L)',
            t.path, here, @prefix@ || t.name)
        UNION ALL
        SELECT c.oid, 'auditadmin_truncate', format('CREATE TRIGGER auditadmin_truncate AFTER TRUNCATE ON %I.%I FOR EACH STATEMENT EXECUTE FUNCTION %I.auditadmin_truncate(%L, %L)',
            c.relnamespace::regnamespace, c.relname, here, @prefix@ || t.name, c.relname)
        FROM pg_partition_tree(t.oid) p JOIN pg_class c ON c.oid = p.relid WHERE p.level > 0 AND c.relkind IN ('r', 'p');
        had := EXISTS (SELECT FROM pg_trigger x JOIN auditadmin_wanted w ON w.oid = x.tgrelid AND w.name = x.tgname);
        fits := NOT EXISTS (SELECT FROM auditadmin_wanted w WHERE NOT EXISTS (SELECT FROM pg_trigger x
            WHERE x.tgrelid = w.oid AND x.tgname = w.name AND x.tgenabled <> 'D' AND obj_description(x.oid, 'pg_trigger') = w.statement));
        IF @remove@ OR lower(t.name) LIKE ANY (@skip@) THEN
            IF had THEN
                FOR g IN SELECT w.name, w.oid::regclass AS path FROM auditadmin_wanted w LOOP
                    EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', g.name, g.path);
                END LOOP;
                INSERT INTO auditadmin_report VALUES (t.name, 'removed', '');
            ELSE
                INSERT INTO auditadmin_report VALUES (t.name, 'skipped',
                    CASE WHEN @remove@ THEN 'not tracked' ELSE 'as the options say' END);
            END IF;
        ELSIF fits THEN
            INSERT INTO auditadmin_report VALUES (t.name, 'tracked', '');
        ELSE
            FOR g IN SELECT w.name, w.oid::regclass AS path, w.statement FROM auditadmin_wanted w LOOP
                EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', g.name, g.path);
                EXECUTE g.statement;
                EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L', g.name, g.path, g.statement);
            END LOOP;
            INSERT INTO auditadmin_report VALUES (t.name, CASE WHEN had THEN 'changed' ELSE 'added' END, '');
        END IF;
    END LOOP;
END
$auditadmin$;

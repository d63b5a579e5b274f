-- A value as it is recorded: bytes and long texts as their length and their
-- beginning, all else as PostgreSQL writes it in JSON.
CREATE OR REPLACE FUNCTION auditadmin_value(v jsonb, is_binary boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $auditadmin$
SELECT CASE
    WHEN v IS NULL THEN 'null'
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

-- One event a row. Its arguments: content_type, and the columns of the key, of
-- bytes, and of what is not recorded, each as an array, and the table's name. It
-- runs with the rights of its owner, so that the writers need none on the inbox.
CREATE OR REPLACE FUNCTION auditadmin_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET bytea_output = 'hex' SET timezone = 'UTC' AS $auditadmin$
DECLARE
    key_columns text[] := TG_ARGV[1]::text[];
    old_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - TG_ARGV[3]::text[] END;
    new_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - TG_ARGV[3]::text[] END;
    named jsonb := coalesce(old_row, new_row);
    changes jsonb;
    id text;
    repr text;
BEGIN
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

-- TRUNCATE names no rows. It is recorded as one event of the table.
CREATE OR REPLACE FUNCTION auditadmin_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $auditadmin$
BEGIN
    INSERT INTO auditadmin_inbox (event) VALUES ('{"kind":"audit_log",' || substr((auditadmin_fields() || jsonb_build_object(
        'source', 'trigger', 'action', 'DELETE', 'content_type', TG_ARGV[0], 'object_repr', 'all rows, unattributed',
        'metadata', jsonb_build_object('unattributed', 'TRUNCATE names no rows', 'statement', 'TRUNCATE')))::text, 2));
    RETURN NULL;
END
$auditadmin$;

DO $auditadmin$
DECLARE
    here text := current_schema();
    t record;
    f text;
    row_statement text;
    truncate_statement text;
    fits boolean;
    had boolean;
BEGIN
    CREATE TEMP TABLE auditadmin_report (name text, state text, reason text) ON COMMIT DROP;
    FOREACH f IN ARRAY ARRAY['auditadmin_row()', 'auditadmin_truncate()'] LOOP
        EXECUTE format('ALTER FUNCTION %I.%s SET search_path = pg_catalog, %I, pg_temp', here, f, here);
    END LOOP;
    FOR t IN
        SELECT c.oid, c.relname::text AS name,
            (SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::int2[], a.attnum))
                FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey::int2[])
                WHERE i.indrelid = c.oid AND i.indisprimary) AS key_columns,
            (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.atttypid = 'bytea'::regtype) AS bytes,
            (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attgenerated <> '') AS derived
        FROM pg_class c
        WHERE c.relnamespace = here::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT LIKE 'auditadmin\_%'
            AND (cardinality(@tables@) = 0 OR lower(c.relname) = ANY (@tables@))
        ORDER BY c.relname
    LOOP
        had := EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = t.oid AND g.tgname IN ('auditadmin_row', 'auditadmin_truncate'));
        row_statement := format('CREATE TRIGGER auditadmin_row AFTER INSERT OR UPDATE OR DELETE ON %I.%I FOR EACH ROW EXECUTE FUNCTION %I.auditadmin_row(%L, %L, %L, %L, %L)',
            here, t.name, here, @prefix@ || t.name, coalesce(t.key_columns, '{}'), coalesce(t.bytes, '{}'), coalesce(t.derived, '{}'), t.name);
        truncate_statement := format('CREATE TRIGGER auditadmin_truncate AFTER TRUNCATE ON %I.%I FOR EACH STATEMENT EXECUTE FUNCTION %I.auditadmin_truncate(%L)',
            here, t.name, here, @prefix@ || t.name);
        fits := 2 = (SELECT count(*) FROM pg_trigger g WHERE g.tgrelid = t.oid AND g.tgenabled <> 'D'
            AND obj_description(g.oid, 'pg_trigger') = CASE g.tgname WHEN 'auditadmin_row' THEN row_statement WHEN 'auditadmin_truncate' THEN truncate_statement END);
        IF @remove@ OR lower(t.name) LIKE ANY (@skip@) THEN
            IF had THEN
                EXECUTE format('DROP TRIGGER IF EXISTS auditadmin_row ON %I.%I', here, t.name);
                EXECUTE format('DROP TRIGGER IF EXISTS auditadmin_truncate ON %I.%I', here, t.name);
                INSERT INTO auditadmin_report VALUES (t.name, 'removed', '');
            ELSE
                INSERT INTO auditadmin_report VALUES (t.name, 'skipped',
                    CASE WHEN @remove@ THEN 'not tracked' ELSE 'as the options say' END);
            END IF;
        ELSIF fits THEN
            INSERT INTO auditadmin_report VALUES (t.name, 'tracked', '');
        ELSE
            EXECUTE format('DROP TRIGGER IF EXISTS auditadmin_row ON %I.%I', here, t.name);
            EXECUTE format('DROP TRIGGER IF EXISTS auditadmin_truncate ON %I.%I', here, t.name);
            EXECUTE row_statement;
            EXECUTE truncate_statement;
            EXECUTE format('COMMENT ON TRIGGER auditadmin_row ON %I.%I IS %L', here, t.name, row_statement);
            EXECUTE format('COMMENT ON TRIGGER auditadmin_truncate ON %I.%I IS %L', here, t.name, truncate_statement);
            INSERT INTO auditadmin_report VALUES (t.name, CASE WHEN had THEN 'changed' ELSE 'added' END, '');
        END IF;
    END LOOP;
END
$auditadmin$;

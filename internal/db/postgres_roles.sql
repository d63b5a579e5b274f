-- The roles of auditadmin, for the schema @schema@ of the database @database@.
--
-- Run this as whoever owns the tables, with the right to make roles, or as the
-- administrator of the server; nothing was executed by printing it:
--
--     auditadmin db roles --db postgres://OWNER@HOST/@database@ | psql postgres://OWNER@HOST/@database@ -v ON_ERROR_STOP=1
--
-- The tables have to be there: whoever is to own them opens the database once, as
-- with 'auditadmin user create'. It may be run again at any time, and is after an
-- upgrade. Then give the login its password and serve with it:
--
--     \password @login@
--     auditadmin serve --db postgres://@login@@HOST/@database@
--
-- The owner is for upgrades alone. The login has no right of its own (NOINHERIT):
-- the server takes a role for what it does, and another one for nothing else.

BEGIN;

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['auditadmin_read', 'auditadmin_append', 'auditadmin_superuser'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = @login_text@) THEN
        CREATE ROLE @login_name@ LOGIN NOINHERIT;
    END IF;
END $$;

-- Who appends may read, and who does what a superuser does may append.
GRANT auditadmin_read TO auditadmin_append;
GRANT auditadmin_append TO auditadmin_superuser;
GRANT auditadmin_read, auditadmin_append, auditadmin_superuser TO @login_name@;

GRANT CONNECT ON DATABASE @database_name@ TO @login_name@, auditadmin_read;
GRANT USAGE ON SCHEMA @schema_name@ TO auditadmin_read;
SET LOCAL search_path = @schema_name@, pg_temp;

-- ---------------------------------------------------------------- auditadmin_read
-- What pages show, and nothing that opens anything: no account, session or token,
-- and not the key of the masks.

GRANT SELECT ON audit_log, login_attempt, data_export, system_event, ledger, head, tombstone, redaction, tile, checkpoint,
    incarnation, purge, hold, search_lot, search_part, search_stale, setting, meta,
    audit_logs, login_attempts, data_exports, system_events TO auditadmin_read;

ALTER TABLE meta ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS reading ON meta;
DROP POLICY IF EXISTS knowing ON meta;
DROP POLICY IF EXISTS noting ON meta;
DROP POLICY IF EXISTS changing ON meta;
DROP POLICY IF EXISTS forgetting ON meta;
CREATE POLICY reading ON meta FOR SELECT TO auditadmin_read USING (key <> 'mask_key');

-- ---------------------------------------------------------------- auditadmin_append
-- Events and the ledger are added to, and that is all: no grant lets this role
-- alter or take away an event or an entry. How often a download was made is no part
-- of what an event states.

GRANT INSERT ON audit_log, login_attempt, data_export, system_event, ledger, checkpoint, incarnation TO auditadmin_append;
GRANT UPDATE ON head TO auditadmin_append;
GRANT UPDATE (download_count) ON data_export TO auditadmin_append;
GRANT UPDATE (root, note, created_at) ON checkpoint TO auditadmin_append;  -- of the same size: signed once more

-- What is derived, and can be made again.
GRANT INSERT, UPDATE, DELETE ON tile, search_lot, search_part, search_stale TO auditadmin_append;

-- What the program notes about the database. Which database it is stays.
GRANT INSERT, UPDATE, DELETE ON meta TO auditadmin_append;
CREATE POLICY knowing ON meta FOR SELECT TO auditadmin_append USING (true);
CREATE POLICY noting ON meta FOR INSERT TO auditadmin_append WITH CHECK (key NOT IN ('application', 'schema', 'mask_key'));
CREATE POLICY changing ON meta FOR UPDATE TO auditadmin_append USING (key NOT IN ('application', 'schema', 'mask_key'));
CREATE POLICY forgetting ON meta FOR DELETE TO auditadmin_append USING (key NOT IN ('application', 'schema', 'mask_key'));

-- What signing in reads and keeps.
GRANT SELECT ON account, recovery_code, token TO auditadmin_append;
GRANT SELECT, INSERT, UPDATE, DELETE ON session, challenge, throttle TO auditadmin_append;
GRANT UPDATE (last_login_at, code_counter) ON account TO auditadmin_append;
GRANT UPDATE (used_at) ON recovery_code TO auditadmin_append;
GRANT UPDATE (used_at) ON token TO auditadmin_append;

-- ---------------------------------------------------------------- auditadmin_superuser
-- Deletion, redaction, resolution, purge, holds, settings, accounts and tokens. The
-- server takes this role for one transaction at a time (SET LOCAL ROLE). It cannot
-- alter the ledger either, nor when an event happened or was recorded.

GRANT DELETE ON audit_log, login_attempt, data_export, system_event TO auditadmin_superuser;
@redactable@
GRANT UPDATE (resolved, resolved_at, resolved_by, resolution_note) ON system_event TO auditadmin_superuser;
GRANT INSERT ON tombstone, purge TO auditadmin_superuser;
GRANT INSERT, UPDATE, DELETE ON redaction TO auditadmin_superuser;
GRANT INSERT, UPDATE (released_at, released_by, release_reason) ON hold TO auditadmin_superuser;
GRANT INSERT, UPDATE, DELETE ON setting TO auditadmin_superuser;
GRANT DELETE ON checkpoint TO auditadmin_superuser;  -- thinned by their age
GRANT INSERT, UPDATE ON account TO auditadmin_superuser;
GRANT INSERT, DELETE ON recovery_code TO auditadmin_superuser;
GRANT INSERT, UPDATE (revoked_at) ON token TO auditadmin_superuser;

-- ---------------------------------------------------------------- months
-- The roles own no table and can make none. These do it for them, with the owner's
-- right, and nothing else.

-- Makes the partition of a kind for the month of a day, where there is none, moves
-- into it what stands in the default partition, and reports whether it made one.
CREATE OR REPLACE FUNCTION make_month(kind text, day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = @schema_name@, pg_temp AS $$
DECLARE
    part text := kind || to_char(day, '_YYYY_MM');
    lo bigint := (extract(epoch FROM date_trunc('month', day::timestamp)) * 1000000)::bigint << 10;
    hi bigint := (extract(epoch FROM date_trunc('month', day::timestamp) + interval '1 month') * 1000000)::bigint << 10;
    strays boolean;
BEGIN
    IF kind IS NULL OR kind NOT IN ('audit_log', 'login_attempt', 'data_export', 'system_event') OR day IS NULL OR day NOT BETWEEN '1970-01-01' AND '2200-12-31' THEN
        RAISE EXCEPTION 'there is no month % of %', day, kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(@lock@);
    IF to_regclass(part) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I WHERE id >= $1 AND id < $2)', kind || '_default') INTO strays USING lo, hi;
    IF strays THEN  -- nobody reads or appends while its rows are on their way
        PERFORM seq FROM head WHERE id = 1 FOR UPDATE;
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', kind);
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, kind);
    IF strays THEN
        EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE id >= $1 AND id < $2', part, kind || '_default') USING lo, hi;
        EXECUTE format('DELETE FROM %I WHERE id >= $1 AND id < $2', kind || '_default') USING lo, hi;
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', kind, part, lo, hi);
    RETURN true;
END $$;

-- Makes every session read anew which partitions the table of a kind has: one that
-- read that while a partition was attached may have missed it for good.
CREATE OR REPLACE FUNCTION tell_months(kind text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = @schema_name@, pg_temp AS $$
BEGIN
    IF kind IS NULL OR kind NOT IN ('audit_log', 'login_attempt', 'data_export', 'system_event') THEN
        RAISE EXCEPTION 'there are no months of %', kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(@lock@);
    EXECUTE format('ALTER TABLE %I RESET (fillfactor)', kind);
END $$;

-- Takes the partition of a kind for the month of a day away, with all that is in
-- it, and reports whether there was one.
CREATE OR REPLACE FUNCTION drop_month(kind text, day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = @schema_name@, pg_temp AS $$
DECLARE
    part text := kind || to_char(day, '_YYYY_MM');
BEGIN
    IF kind IS NULL OR kind NOT IN ('audit_log', 'login_attempt', 'data_export', 'system_event') OR day IS NULL THEN
        RAISE EXCEPTION 'there is no month % of %', day, kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(@lock@);
    IF to_regclass(part) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', kind, part);
    EXECUTE format('DROP TABLE %I', part);
    RETURN true;
END $$;

-- Locks the partition of a kind for the month of a day, and what it is a part of,
-- until the transaction that drops it is over.
CREATE OR REPLACE FUNCTION lock_month(kind text, day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = @schema_name@, pg_temp AS $$
BEGIN
    IF kind IS NULL OR kind NOT IN ('audit_log', 'login_attempt', 'data_export', 'system_event') OR day IS NULL THEN
        RAISE EXCEPTION 'there is no month % of %', day, kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('LOCK TABLE ONLY %I, ONLY %I, ONLY %I IN ACCESS EXCLUSIVE MODE', kind, kind || to_char(day, '_YYYY_MM'), kind || '_default');
END $$;

-- What a purge has written under the numbers -1, -2 and so on, in its own transaction,
-- gets the places after an entry of the ledger. Nothing else in it can be changed.
CREATE OR REPLACE FUNCTION place_purges(after bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = @schema_name@, pg_temp
AS 'UPDATE purge SET seq = after - seq WHERE seq < 0';

-- How many events of a kind stand in no month, a million at most, and the first id.
CREATE OR REPLACE FUNCTION unplaced(kind text, OUT events bigint, OUT first_id bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = @schema_name@, pg_temp AS $$
BEGIN
    IF kind IS NULL OR kind NOT IN ('audit_log', 'login_attempt', 'data_export', 'system_event') THEN
        RAISE EXCEPTION 'there is no kind %', kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('SELECT count(*), min(id) FROM (SELECT id FROM %I ORDER BY id LIMIT 1000000) part', kind || '_default') INTO events, first_id;
END $$;

DO $$
DECLARE
    owner name := (SELECT tableowner FROM pg_tables WHERE schemaname = @schema_text@ AND tablename = 'ledger');
BEGIN
    IF owner <> current_user THEN
        EXECUTE format('ALTER FUNCTION make_month(text, date) OWNER TO %I', owner);
        EXECUTE format('ALTER FUNCTION tell_months(text) OWNER TO %I', owner);
        EXECUTE format('ALTER FUNCTION drop_month(text, date) OWNER TO %I', owner);
        EXECUTE format('ALTER FUNCTION lock_month(text, date) OWNER TO %I', owner);
        EXECUTE format('ALTER FUNCTION place_purges(bigint) OWNER TO %I', owner);
        EXECUTE format('ALTER FUNCTION unplaced(text) OWNER TO %I', owner);
    END IF;
END $$;
REVOKE ALL ON FUNCTION make_month(text, date), tell_months(text), drop_month(text, date), lock_month(text, date), place_purges(bigint), unplaced(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unplaced(text) TO auditadmin_read;
GRANT EXECUTE ON FUNCTION make_month(text, date), tell_months(text) TO auditadmin_append;
GRANT EXECUTE ON FUNCTION drop_month(text, date), lock_month(text, date), place_purges(bigint) TO auditadmin_superuser;

COMMIT;

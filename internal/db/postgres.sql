-- The database of auditadmin on PostgreSQL 15 or newer, version 1.
--
-- Every fresh database is created from this file, in the first schema of the
-- search path. The tables and columns are those of schema.sql, and so is what they
-- mean; here stands what is different:
--
--   * Each kind of event is a table partitioned by month of its id. A month is made
--     before it begins, and retention drops it whole. What has no month yet lies in
--     the partition NAME_default, and is moved when its month is made.
--   * No trigger keeps an event from being altered, but the rights of the roles that
--     write: 'auditadmin db roles'. No serial, no second unique index, no foreign key
--     stands on the tables of events and the ledger, so that they can be distributed.
--   * Text sorts by its bytes (COLLATE "C"), as it does in the program. JSON is text:
--     what was given is what comes back, every digit of it.
--   * Who works with SQL finds each kind once more as a view in the plural, with an
--     instant for the time, inet for the address and jsonb for JSON:
--
--         SELECT timestamp, username, action, object_repr
--         FROM audit_logs WHERE id >= id_of('2026-03-01') AND ip_address <<= '10.0.0.0/8'
--         ORDER BY id DESC LIMIT 20;

-- Settings and secrets of this database, one value each.
CREATE TABLE meta (
    key   text COLLATE "C" NOT NULL PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);

-- ---------------------------------------------------------------- the events

-- Who did what to which object, with before and after.
CREATE TABLE audit_log (
    id           bigint           NOT NULL PRIMARY KEY,  -- when it happened: microseconds << 10 | sequence
    seq          bigint           NOT NULL,              -- when it was recorded: its entry in the ledger
    timestamp    text COLLATE "C" NOT NULL,              -- when it happened, exactly
    recorded_at  text COLLATE "C" NOT NULL,              -- when it was stored here
    source       text COLLATE "C" NOT NULL,              -- which token, importer or process it came through
    event_id     text COLLATE "C",                       -- the recorder's own name for it, if it gave one
    user_id      text COLLATE "C" NOT NULL,
    username     text COLLATE "C" NOT NULL,              -- the name as it was then
    action       text COLLATE "C" NOT NULL,              -- CREATE, UPDATE, DELETE, VIEW, LOGIN, … or any upper-case word
    content_type text COLLATE "C" NOT NULL,              -- "shop.order"
    object_id    text COLLATE "C" NOT NULL,
    object_repr  text COLLATE "C" NOT NULL,              -- "Order 42", as it was then
    ip_address   text COLLATE "C" NOT NULL,              -- canonical
    session_key  text COLLATE "C" NOT NULL,
    request_id   text COLLATE "C" NOT NULL,
    module       text COLLATE "C" NOT NULL,
    reason       text COLLATE "C" NOT NULL,
    user_agent   text COLLATE "C" NOT NULL,
    changes      text COLLATE "C",                       -- JSON: {"field": {"old": …, "new": …}}
    metadata     text COLLATE "C",                       -- JSON
    seed         bytea                                   -- what its leaf in the ledger was salted with; NULL once something was redacted
) PARTITION BY RANGE (id);
CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;

-- One attempt to sign in.
CREATE TABLE login_attempt (
    id             bigint           NOT NULL PRIMARY KEY,
    seq            bigint           NOT NULL,
    timestamp      text COLLATE "C" NOT NULL,
    recorded_at    text COLLATE "C" NOT NULL,
    source         text COLLATE "C" NOT NULL,
    event_id       text COLLATE "C",
    username       text COLLATE "C" NOT NULL,  -- the name that was typed
    status         text COLLATE "C" NOT NULL,  -- SUCCESS, FAILED, BLOCKED
    ip_address     text COLLATE "C" NOT NULL,
    country        text COLLATE "C" NOT NULL,
    city           text COLLATE "C" NOT NULL,
    session_key    text COLLATE "C" NOT NULL,
    request_id     text COLLATE "C" NOT NULL,
    failure_reason text COLLATE "C" NOT NULL,
    user_agent     text COLLATE "C" NOT NULL,
    metadata       text COLLATE "C",           -- JSON
    seed           bytea
) PARTITION BY RANGE (id);
CREATE TABLE login_attempt_default PARTITION OF login_attempt DEFAULT;

-- One export of data: what, by whom, how much, under which filters.
CREATE TABLE data_export (
    id              bigint           NOT NULL PRIMARY KEY,
    seq             bigint           NOT NULL,
    timestamp       text COLLATE "C" NOT NULL,
    recorded_at     text COLLATE "C" NOT NULL,
    source          text COLLATE "C" NOT NULL,
    event_id        text COLLATE "C",
    user_id         text COLLATE "C" NOT NULL,
    username        text COLLATE "C" NOT NULL,
    export_type     text COLLATE "C" NOT NULL,
    file_format     text COLLATE "C" NOT NULL,
    record_count    bigint,
    file_size       bigint,            -- bytes
    ip_address      text COLLATE "C" NOT NULL,
    session_key     text COLLATE "C" NOT NULL,
    request_id      text COLLATE "C" NOT NULL,
    file_path       text COLLATE "C" NOT NULL,
    filters_applied text COLLATE "C",  -- JSON
    download_count  bigint,            -- grows: one ledger entry a download
    metadata        text COLLATE "C",  -- JSON; "completed" says whether the stream ended well
    seed            bytea
) PARTITION BY RANGE (id);
CREATE TABLE data_export_default PARTITION OF data_export DEFAULT;

-- Finds the export that a download names. Exports are few.
CREATE INDEX data_export_name ON data_export (event_id) WHERE event_id IS NOT NULL;

-- What the system has to say, with technical detail and its resolution.
CREATE TABLE system_event (
    id              bigint           NOT NULL PRIMARY KEY,
    seq             bigint           NOT NULL,
    timestamp       text COLLATE "C" NOT NULL,
    recorded_at     text COLLATE "C" NOT NULL,
    source          text COLLATE "C" NOT NULL,
    event_id        text COLLATE "C",
    event_type      text COLLATE "C" NOT NULL,  -- ERROR, WARNING, INFO, SECURITY, PERFORMANCE
    title           text COLLATE "C" NOT NULL,
    module          text COLLATE "C" NOT NULL,
    function_name   text COLLATE "C" NOT NULL,
    line_number     bigint,
    error_code      text COLLATE "C" NOT NULL,
    user_id         text COLLATE "C" NOT NULL,
    username        text COLLATE "C" NOT NULL,
    ip_address      text COLLATE "C" NOT NULL,
    session_key     text COLLATE "C" NOT NULL,
    request_id      text COLLATE "C" NOT NULL,
    resolved        bigint           NOT NULL,  -- 0 or 1, with the three below; the story is in the ledger
    resolved_at     text COLLATE "C",
    resolved_by     text COLLATE "C" NOT NULL,
    resolution_note text COLLATE "C" NOT NULL,
    description     text COLLATE "C" NOT NULL,
    stack_trace     text COLLATE "C" NOT NULL,
    metadata        text COLLATE "C",           -- JSON
    seed            bytea
) PARTITION BY RANGE (id);
CREATE TABLE system_event_default PARTITION OF system_event DEFAULT;

-- ---------------------------------------------------------------- the ledger

-- One entry for each change of state, append only, dense from 1. The leaves are
-- those of a Merkle tree (RFC 6962): entry n is its leaf number n-1. What a leaf
-- commits to is in internal/evidence, the entries there are in its entry.go.
CREATE TABLE ledger (
    seq         bigint           NOT NULL PRIMARY KEY,
    entry       text COLLATE "C" NOT NULL,             -- created, resolved, deleted, purged, …
    kind        text COLLATE "C" NOT NULL,             -- the event's table; '' where it is about no event
    id          bigint           NOT NULL,             -- the event's id there
    recorded_at text COLLATE "C" NOT NULL,             -- never before the entry above it
    actor       text COLLATE "C",                      -- who, where somebody decided; NULL for created
    note        text COLLATE "C",                      -- why
    leaf        bytea            NOT NULL DEFAULT '',  -- SHA-256 of what the entry says; for created of all its event states
    subject     bytea                                  -- SHA-256 of the row elsewhere that the entry vouches for; NULL for created
);

-- Finds the story of one event without a walk through the whole ledger. Only
-- decisions are in it, which are few.
CREATE INDEX ledger_decisions ON ledger (kind, id, seq) WHERE entry <> 'created';

-- Where the ledger ends. Whoever writes locks this row first and holds it up to
-- the commit: so seq is dense, and never before recorded_at of the entry above,
-- however many servers append.
CREATE TABLE head (
    id                   bigint           NOT NULL PRIMARY KEY CHECK (id = 1),
    seq                  bigint           NOT NULL,
    recorded_at          text COLLATE "C" NOT NULL,
    newest_audit_log     bigint           NOT NULL DEFAULT 0,  -- the highest id there ever was, also of what is gone:
    newest_login_attempt bigint           NOT NULL DEFAULT 0,  -- what happened after it has no twin, and nobody has to
    newest_data_export   bigint           NOT NULL DEFAULT 0,  -- look for one in every month
    newest_system_event  bigint           NOT NULL DEFAULT 0
) WITH (fillfactor = 10);  -- rewritten by every commit, in its page

INSERT INTO head (id, seq, recorded_at) VALUES (1, 0, '');

-- What stays of a deleted event: its place, and who took it away, when and why.
CREATE TABLE tombstone (
    kind          text COLLATE "C" NOT NULL,
    id            bigint           NOT NULL,
    seq           bigint           NOT NULL,  -- the deleted event's entry in the ledger
    timestamp     text COLLATE "C" NOT NULL,  -- when the deleted event happened
    event_id_hash bytea,                      -- SHA-256, so that its twin stays a duplicate
    deleted_at    text COLLATE "C" NOT NULL,
    deleted_by    text COLLATE "C" NOT NULL,
    reason        text COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, id)
);

-- What a redacted event's leaf is checked with, in place of its seed: of each
-- field the salt, or where its content was taken away the commitment. It goes
-- with its event: salts and leaf together would let guesses at a deleted event be
-- checked.
CREATE TABLE redaction (
    kind text COLLATE "C" NOT NULL,
    id   bigint           NOT NULL,
    seq  bigint           NOT NULL,  -- its newest entry 'redacted' in the ledger
    kept bytea            NOT NULL,
    PRIMARY KEY (kind, id)
);

-- The upper levels of the tree over the ledger, in tiles of up to 256 hashes:
-- tile n of level k holds the nodes of height 8k from 256n on. The leaves are
-- the ledger's own. Derived: may trail, and can be made again at any time.
CREATE TABLE tile (
    level  bigint NOT NULL,  -- from 1
    n      bigint NOT NULL,
    hashes bytea  NOT NULL,  -- 32 bytes each
    PRIMARY KEY (level, n)
);
ALTER TABLE tile ALTER COLUMN hashes SET STORAGE EXTERNAL;  -- nothing packs a hash

-- Signed statements of how large the ledger was and what its tree came to: all
-- of a day, one an hour of a month, one a day for ever, and each that somebody
-- else signed as well.
CREATE TABLE checkpoint (
    size       bigint           NOT NULL PRIMARY KEY,  -- entries
    root       bytea            NOT NULL,
    note       text COLLATE "C" NOT NULL,              -- as it was handed out, with its signatures
    created_at text COLLATE "C" NOT NULL
);

-- The lives of this database. Each goes on from the ledger's entry seq; a new
-- one begins with an entry 'restored' where the database came back from a copy.
CREATE TABLE incarnation (
    seq        bigint           NOT NULL PRIMARY KEY,
    name       text COLLATE "C" NOT NULL UNIQUE,  -- random; checkpoints carry it
    started_at text COLLATE "C" NOT NULL,
    reason     text COLLATE "C" NOT NULL
);

-- What retention took away, one row for each run of ids, beside its entry
-- 'purged' in the ledger, whose id is to_id. It means: every event of the kind
-- with from_id <= id <= to_id and a seq below this one is gone. An event with a
-- higher seq came later and is there. What was kept, by a hold or as the trace
-- of a deletion, stands between two runs, never in one.
CREATE TABLE purge (
    seq       bigint           NOT NULL PRIMARY KEY,  -- its entry in the ledger
    kind      text COLLATE "C" NOT NULL,
    from_id   bigint           NOT NULL,
    to_id     bigint           NOT NULL,
    events    bigint           NOT NULL,
    first     text COLLATE "C" NOT NULL,              -- timestamps of the first and the last of them
    last      text COLLATE "C" NOT NULL,
    root      bytea            NOT NULL,              -- over their leaves, in the order of the ledger
    names     bytea            NOT NULL,              -- sorted: 8 bytes of SHA-256 of timestamp, NUL and event_id
                                                      -- of each that had one, so that twins stay duplicates
    ids       bytea            NOT NULL,              -- of all of them, each as the distance from the one before, from
                                                      -- from_id on: none is given to another event
    purged_at text COLLATE "C" NOT NULL,
    purged_by text COLLATE "C" NOT NULL,
    reason    text COLLATE "C" NOT NULL,
    archive   text COLLATE "C" NOT NULL               -- name of the file they were written to before, or ''
);

CREATE INDEX purge_range ON purge (kind, to_id);

-- Legal holds. What a hold's query finds is neither deleted nor purged until
-- the hold is released. The ledger has 'held' and 'released' with kind 'hold'.
CREATE TABLE hold (
    id             bigint           NOT NULL PRIMARY KEY,
    kind           text COLLATE "C" NOT NULL,  -- of the events it covers, or '' for all kinds
    query          text COLLATE "C" NOT NULL,  -- as in the search box, dates in UTC
    reason         text COLLATE "C" NOT NULL,
    held_at        text COLLATE "C" NOT NULL,
    held_by        text COLLATE "C" NOT NULL,
    released_at    text COLLATE "C",           -- NULL while it holds
    released_by    text COLLATE "C" NOT NULL DEFAULT '',
    release_reason text COLLATE "C" NOT NULL DEFAULT ''
);

-- ---------------------------------------------------------------- text search

-- Which events hold which runs of three letters, in their folded searchable
-- text. This is derived, may trail behind the ledger, and can be made again at
-- any time; meta 'search:KIND' is the seq up to which it is complete,
-- and 'search:lot' the highest number a lot ever had.

-- A lot is up to 65,536 events of one kind, in the order of the ledger.
CREATE TABLE search_lot (
    lot        bigint           NOT NULL PRIMARY KEY,
    kind       text COLLATE "C" NOT NULL,
    first      bigint           NOT NULL,  -- seq of its first event
    last       bigint           NOT NULL,  -- seq of its last event
    rows       bigint           NOT NULL,
    ready      bigint           NOT NULL,  -- 1 in use, 0 while it is made, -1 while it is taken away
    changed_at text COLLATE "C" NOT NULL,
    seqs       bytea            NOT NULL   -- of its events, each as the distance from the one before
);

-- The events of some trigrams of a lot: internal/trigram says in which form.
CREATE TABLE search_part (
    id   bigint NOT NULL PRIMARY KEY,  -- lot << 19 | the first of the trigrams
    data bytea  NOT NULL
) WITH (toast_tuple_target = 8160);  -- packed already, and small enough to stand in the table itself
ALTER TABLE search_part ALTER COLUMN data SET STORAGE EXTERNAL;

-- Events whose text was changed or taken away, and is yet to be taken out of
-- their lots: runs of seq.
CREATE TABLE search_stale (
    kind  text COLLATE "C" NOT NULL,
    first bigint           NOT NULL,
    last  bigint           NOT NULL,
    gone  bigint           NOT NULL,  -- 1 where the events are gone, 0 where they say something else now
    PRIMARY KEY (kind, first, last)
);

-- ---------------------------------------------------------------- settings

-- What a superuser has set: retention and the like. What is absent has its default.
CREATE TABLE setting (
    key        text COLLATE "C" NOT NULL PRIMARY KEY,
    value      text COLLATE "C" NOT NULL,
    changed_at text COLLATE "C" NOT NULL,
    changed_by text COLLATE "C" NOT NULL
);

-- ---------------------------------------------------------------- people who sign in

-- Who may sign in to auditadmin. An account is never removed, only disabled:
-- its name stands in what it did.
CREATE TABLE account (
    id            bigint           NOT NULL PRIMARY KEY,
    name          text COLLATE "C" NOT NULL,
    name_folded   text COLLATE "C" NOT NULL UNIQUE,      -- so that "Ines" and "ines" are one
    role          text COLLATE "C" NOT NULL,             -- viewer, responder, superuser
    password_hash text COLLATE "C" NOT NULL,             -- argon2id in PHC form; '' opens nothing
    disabled      bigint           NOT NULL DEFAULT 0,
    created_at    text COLLATE "C" NOT NULL,
    last_login_at text COLLATE "C",
    issuer        text COLLATE "C" NOT NULL DEFAULT '',  -- who vouches for it (OpenID Connect); '' for an account of our own
    subject       text COLLATE "C" NOT NULL DEFAULT '',  -- what the issuer calls it, for ever
    code_secret   text COLLATE "C",                      -- second factor: what its codes are made of, sealed with the key file; NULL for none
    code_counter  bigint           NOT NULL DEFAULT 0,   -- the time step of the last code accepted: no code of it or before is again
    code_since    text COLLATE "C"                       -- when the second factor was set up
);

-- One account for each person an issuer vouches for.
CREATE UNIQUE INDEX account_issued ON account (issuer, subject) WHERE issuer <> '';

-- Codes on paper for when the second factor is lost. Each is shown once and
-- opens once; this table holds its SHA-256.
CREATE TABLE recovery_code (
    code_hash  bytea            NOT NULL PRIMARY KEY,
    account_id bigint           NOT NULL REFERENCES account (id),
    used_at    text COLLATE "C"           -- NULL: not yet
);

-- Half a sign-in: the password was right, and the code of the second factor is
-- still to come. A cookie holds the id, this table only its SHA-256. It opens
-- nothing but the page that asks for the code.
CREATE TABLE challenge (
    id_hash    bytea            NOT NULL PRIMARY KEY,
    account_id bigint           NOT NULL REFERENCES account (id),
    method     text COLLATE "C" NOT NULL,  -- what was shown so far: password, issuer
    expires_at text COLLATE "C" NOT NULL,
    ip_address text COLLATE "C" NOT NULL,
    user_agent text COLLATE "C" NOT NULL
);

-- Open sessions. The cookie holds the id, this table only its SHA-256.
CREATE TABLE session (
    id_hash      bytea            NOT NULL PRIMARY KEY,
    public_id    text COLLATE "C" NOT NULL UNIQUE,      -- names it on pages, opens nothing
    account_id   bigint           NOT NULL REFERENCES account (id),
    created_at   text COLLATE "C" NOT NULL,
    seen_at      text COLLATE "C" NOT NULL,
    expires_at   text COLLATE "C" NOT NULL,
    ip_address   text COLLATE "C" NOT NULL,
    user_agent   text COLLATE "C" NOT NULL,
    role         text COLLATE "C" NOT NULL DEFAULT '',  -- the account's role when the id was given: another role gets another id
    confirmed_at text COLLATE "C"                       -- when its owner last showed who he is; NULL for not since the upgrade
);

-- Keys for programs. The secret is shown once; this table holds its SHA-256.
CREATE TABLE token (
    id          bigint           NOT NULL PRIMARY KEY,
    name        text COLLATE "C" NOT NULL,
    scope       text COLLATE "C" NOT NULL,  -- ingest, read
    secret_hash bytea            NOT NULL UNIQUE,
    created_at  text COLLATE "C" NOT NULL,
    created_by  text COLLATE "C" NOT NULL,
    expires_at  text COLLATE "C",
    revoked_at  text COLLATE "C",
    used_at     text COLLATE "C"
);

-- Failed sign-ins in a row, by account name or address, and until when the
-- next try has to wait.
CREATE TABLE throttle (
    key      text COLLATE "C" NOT NULL PRIMARY KEY,
    failures bigint           NOT NULL,
    until    text COLLATE "C" NOT NULL,
    seen_at  text COLLATE "C" NOT NULL
);

-- ---------------------------------------------------------------- for people

-- The first id of a moment. A condition on id is what keeps a query to its months.
CREATE FUNCTION id_of(at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT
RETURN (extract(epoch FROM at) * 1000000)::bigint << 10;

-- A damaged value is NULL to whoever looks at it, and no error for all the others.
CREATE FUNCTION inet_of(address text) RETURNS inet LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN nullif(address, '')::inet;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

-- jsonb knows no U+0000 inside a string: such a value is NULL here too.
CREATE FUNCTION jsonb_of(value text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN value::jsonb;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

CREATE FUNCTION instant_of(value text) RETURNS timestamptz LANGUAGE plpgsql STABLE STRICT AS $$
BEGIN
    RETURN value::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

CREATE VIEW audit_logs AS
SELECT id, seq, instant_of(timestamp) AS timestamp, instant_of(recorded_at) AS recorded_at, source, event_id, user_id, username, action,
    content_type, object_id, object_repr, inet_of(ip_address) AS ip_address, session_key, request_id, module, reason, user_agent,
    jsonb_of(changes) AS changes, jsonb_of(metadata) AS metadata
FROM audit_log;

CREATE VIEW login_attempts AS
SELECT id, seq, instant_of(timestamp) AS timestamp, instant_of(recorded_at) AS recorded_at, source, event_id, username, status,
    inet_of(ip_address) AS ip_address, country, city, session_key, request_id, failure_reason, user_agent, jsonb_of(metadata) AS metadata
FROM login_attempt;

CREATE VIEW data_exports AS
SELECT id, seq, instant_of(timestamp) AS timestamp, instant_of(recorded_at) AS recorded_at, source, event_id, user_id, username, export_type,
    file_format, record_count, file_size, inet_of(ip_address) AS ip_address, session_key, request_id, file_path,
    jsonb_of(filters_applied) AS filters_applied, download_count, jsonb_of(metadata) AS metadata
FROM data_export;

CREATE VIEW system_events AS
SELECT id, seq, instant_of(timestamp) AS timestamp, instant_of(recorded_at) AS recorded_at, source, event_id, event_type, title, module,
    function_name, line_number, error_code, user_id, username, inet_of(ip_address) AS ip_address, session_key, request_id,
    resolved = 1 AS resolved, instant_of(resolved_at) AS resolved_at, resolved_by, resolution_note, description, stack_trace,
    jsonb_of(metadata) AS metadata
FROM system_event;

-- How we know a database for ours, and the version of this schema.
INSERT INTO meta (key, value) VALUES ('application', 'auditadmin'), ('schema', '1');

-- The database of auditadmin on SQLite, version 2.
--
-- Every fresh database is created from this file. Open it with any tool: each
-- kind of event is one table with one readable column for each of its fields.
-- Times are text in UTC with six decimals and Z, so they sort as they read.
-- Absent text is '', an absent number, time or JSON value is NULL.
--
--     SELECT timestamp, username, action, object_repr
--     FROM audit_log WHERE timestamp >= '2026-03-01' ORDER BY id DESC LIMIT 20;
--
-- Two orders run through it. `id` is the order in which things happened:
-- microseconds since 1970, shifted left by ten bits, plus a sequence for what
-- happened in the same microsecond. It is the primary key, so newest-first and
-- a range of dates are ranges of the key. `seq` is the order in which things
-- were recorded, dense from 1: the key of the ledger.
--
-- There is hardly any further index on the event tables, on purpose. Filters, counts
-- and dates are answered from columns held in memory, text from the trigram
-- tables below, and only the hundred rows of a page are read by their ids.
--
-- An older database is brought to this text when it is opened. A new column
-- stands last in its table and may be NULL or has a default: then not one row
-- has to be written anew for it.

PRAGMA application_id = 1635087465;  -- "auti": how we know a database for ours
PRAGMA user_version = 2;             -- the version of this schema

-- Settings and secrets of this database, one value each.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- the events

-- Who did what to which object, with before and after.
CREATE TABLE audit_log (
    id           INTEGER NOT NULL PRIMARY KEY,  -- when it happened: microseconds << 10 | sequence
    seq          INTEGER NOT NULL,              -- when it was recorded: its entry in the ledger
    timestamp    TEXT    NOT NULL,              -- when it happened, exactly
    recorded_at  TEXT    NOT NULL,              -- when it was stored here
    source       TEXT    NOT NULL,              -- which token, importer or process it came through
    event_id     TEXT,                          -- the recorder's own name for it, if it gave one
    user_id      TEXT    NOT NULL,
    username     TEXT    NOT NULL,              -- the name as it was then
    action       TEXT    NOT NULL,              -- CREATE, UPDATE, DELETE, VIEW, LOGIN, … or any upper-case word
    content_type TEXT    NOT NULL,              -- "shop.order"
    object_id    TEXT    NOT NULL,
    object_repr  TEXT    NOT NULL,              -- "Order 42", as it was then
    ip_address   TEXT    NOT NULL,              -- canonical
    session_key  TEXT    NOT NULL,
    request_id   TEXT    NOT NULL,
    module       TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    user_agent   TEXT    NOT NULL,
    changes      TEXT,                          -- JSON: {"field": {"old": …, "new": …}}
    metadata     TEXT,                          -- JSON
    seed         BLOB                           -- what its leaf in the ledger was salted with; NULL once something was redacted
) STRICT;

-- One attempt to sign in.
CREATE TABLE login_attempt (
    id             INTEGER NOT NULL PRIMARY KEY,
    seq            INTEGER NOT NULL,
    timestamp      TEXT    NOT NULL,
    recorded_at    TEXT    NOT NULL,
    source         TEXT    NOT NULL,
    event_id       TEXT,
    username       TEXT    NOT NULL,            -- the name that was typed
    status         TEXT    NOT NULL,            -- SUCCESS, FAILED, BLOCKED
    ip_address     TEXT    NOT NULL,
    country        TEXT    NOT NULL,
    city           TEXT    NOT NULL,
    session_key    TEXT    NOT NULL,
    request_id     TEXT    NOT NULL,
    failure_reason TEXT    NOT NULL,
    user_agent     TEXT    NOT NULL,
    metadata       TEXT,                        -- JSON
    seed           BLOB
) STRICT;

-- One export of data: what, by whom, how much, under which filters.
CREATE TABLE data_export (
    id              INTEGER NOT NULL PRIMARY KEY,
    seq             INTEGER NOT NULL,
    timestamp       TEXT    NOT NULL,
    recorded_at     TEXT    NOT NULL,
    source          TEXT    NOT NULL,
    event_id        TEXT,
    user_id         TEXT    NOT NULL,
    username        TEXT    NOT NULL,
    export_type     TEXT    NOT NULL,
    file_format     TEXT    NOT NULL,
    record_count    INTEGER,
    file_size       INTEGER,                    -- bytes
    ip_address      TEXT    NOT NULL,
    session_key     TEXT    NOT NULL,
    request_id      TEXT    NOT NULL,
    file_path       TEXT    NOT NULL,
    filters_applied TEXT,                       -- JSON
    download_count  INTEGER,                    -- grows: one ledger entry a download
    metadata        TEXT,                       -- JSON; "completed" says whether the stream ended well
    seed            BLOB
) STRICT;

-- Finds the export that a download names. Exports are few.
CREATE INDEX data_export_name ON data_export (event_id) WHERE event_id IS NOT NULL;

-- What the system has to say, with technical detail and its resolution.
CREATE TABLE system_event (
    id              INTEGER NOT NULL PRIMARY KEY,
    seq             INTEGER NOT NULL,
    timestamp       TEXT    NOT NULL,
    recorded_at     TEXT    NOT NULL,
    source          TEXT    NOT NULL,
    event_id        TEXT,
    event_type      TEXT    NOT NULL,           -- ERROR, WARNING, INFO, SECURITY, PERFORMANCE
    title           TEXT    NOT NULL,
    module          TEXT    NOT NULL,
    function_name   TEXT    NOT NULL,
    line_number     INTEGER,
    error_code      TEXT    NOT NULL,
    user_id         TEXT    NOT NULL,
    username        TEXT    NOT NULL,
    ip_address      TEXT    NOT NULL,
    session_key     TEXT    NOT NULL,
    request_id      TEXT    NOT NULL,
    resolved        INTEGER NOT NULL,           -- 0 or 1, with the three below; the story is in the ledger
    resolved_at     TEXT,
    resolved_by     TEXT    NOT NULL,
    resolution_note TEXT    NOT NULL,
    description     TEXT    NOT NULL,
    stack_trace     TEXT    NOT NULL,
    metadata        TEXT,                       -- JSON
    seed            BLOB
) STRICT;

-- ---------------------------------------------------------------- the ledger

-- One entry for each change of state, append only, dense from 1. The leaves are
-- those of a Merkle tree (RFC 6962): entry n is its leaf number n-1. What a leaf
-- commits to is in internal/evidence, the entries there are in its entry.go.
CREATE TABLE ledger (
    seq         INTEGER NOT NULL PRIMARY KEY,
    entry       TEXT    NOT NULL,   -- created, resolved, deleted, purged, …
    kind        TEXT    NOT NULL,   -- the event's table; '' where it is about no event
    id          INTEGER NOT NULL,   -- the event's id there
    recorded_at TEXT    NOT NULL,   -- never before the entry above it
    actor       TEXT,               -- who, where somebody decided; NULL for created
    note        TEXT,               -- why
    leaf        BLOB    NOT NULL DEFAULT x'',  -- SHA-256 of what the entry says; for created of all its event states
    subject     BLOB                -- SHA-256 of the row elsewhere that the entry vouches for; NULL for created
) STRICT;

-- Finds the story of one event without a walk through the whole ledger. Only
-- decisions are in it, which are few.
CREATE INDEX ledger_decisions ON ledger (kind, id) WHERE entry <> 'created';

-- What stays of a deleted event: its place, and who took it away, when and why.
CREATE TABLE tombstone (
    kind          TEXT    NOT NULL,
    id            INTEGER NOT NULL,
    seq           INTEGER NOT NULL,  -- the deleted event's entry in the ledger
    timestamp     TEXT    NOT NULL,  -- when the deleted event happened
    event_id_hash BLOB,              -- SHA-256, so that its twin stays a duplicate
    deleted_at    TEXT    NOT NULL,
    deleted_by    TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- What a redacted event's leaf is checked with, in place of its seed: of each
-- field the salt, or where its content was taken away the commitment. It goes
-- with its event: salts and leaf together would let guesses at a deleted event be
-- checked.
CREATE TABLE redaction (
    kind TEXT    NOT NULL,
    id   INTEGER NOT NULL,
    seq  INTEGER NOT NULL,  -- its newest entry 'redacted' in the ledger
    kept BLOB    NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- The upper levels of the tree over the ledger, in tiles of up to 256 hashes:
-- tile n of level k holds the nodes of height 8k from 256n on. The leaves are
-- the ledger's own. Derived: may trail, and can be made again at any time.
CREATE TABLE tile (
    level  INTEGER NOT NULL,  -- from 1
    n      INTEGER NOT NULL,
    hashes BLOB    NOT NULL,  -- 32 bytes each
    PRIMARY KEY (level, n)
) STRICT, WITHOUT ROWID;

-- Signed statements of how large the ledger was and what its tree came to: all
-- of a day, one an hour of a month, one a day for ever, and each that somebody
-- else signed as well.
CREATE TABLE checkpoint (
    size       INTEGER NOT NULL PRIMARY KEY,  -- entries
    root       BLOB    NOT NULL,
    note       TEXT    NOT NULL,              -- as it was handed out, with its signatures
    created_at TEXT    NOT NULL
) STRICT;

-- The lives of this database. Each goes on from the ledger's entry seq; a new
-- one begins with an entry 'restored' where the database came back from a copy.
CREATE TABLE incarnation (
    seq        INTEGER NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,       -- random; checkpoints carry it
    started_at TEXT    NOT NULL,
    reason     TEXT    NOT NULL
) STRICT;

-- What retention took away, one row for each run of ids, beside its entry
-- 'purged' in the ledger, whose id is to_id. It means: every event of the kind
-- with from_id <= id <= to_id and a seq below this one is gone. An event with a
-- higher seq came later and is there. What was kept, by a hold or as the trace
-- of a deletion, stands between two runs, never in one.
CREATE TABLE purge (
    seq       INTEGER NOT NULL PRIMARY KEY,  -- its entry in the ledger
    kind      TEXT    NOT NULL,
    from_id   INTEGER NOT NULL,
    to_id     INTEGER NOT NULL,
    events    INTEGER NOT NULL,
    first     TEXT    NOT NULL,              -- timestamps of the first and the last of them
    last      TEXT    NOT NULL,
    root      BLOB    NOT NULL,              -- over their leaves, in the order of the ledger
    names     BLOB    NOT NULL,              -- sorted: 8 bytes of SHA-256 of timestamp, NUL and event_id
                                             -- of each, or of the name that import gives it, so that twins stay duplicates
    ids       BLOB    NOT NULL,              -- of all of them, each as the distance from the one before, from
                                             -- from_id on: none is given to another event
    purged_at TEXT    NOT NULL,
    purged_by TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    archive   TEXT    NOT NULL               -- name of the file they were written to before, or ''
) STRICT;

CREATE INDEX purge_range ON purge (kind, to_id);

-- Legal holds. What a hold's query finds is neither deleted nor purged until
-- the hold is released. The ledger has 'held' and 'released' with kind 'hold'.
CREATE TABLE hold (
    id             INTEGER NOT NULL PRIMARY KEY,
    kind           TEXT    NOT NULL,         -- of the events it covers, or '' for all kinds
    query          TEXT    NOT NULL,         -- as in the search box, dates in UTC
    reason         TEXT    NOT NULL,
    held_at        TEXT    NOT NULL,
    held_by        TEXT    NOT NULL,
    released_at    TEXT,                     -- NULL while it holds
    released_by    TEXT    NOT NULL DEFAULT '',
    release_reason TEXT    NOT NULL DEFAULT ''
) STRICT;

-- Nobody edits an event, but for what is redacted, and an event leaves only over its tombstone or a purge.

CREATE TRIGGER ledger_keep BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_fixed BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER tombstone_keep BEFORE DELETE ON tombstone
BEGIN SELECT RAISE(ABORT, 'a tombstone stays for ever'); END;
CREATE TRIGGER tombstone_fixed BEFORE UPDATE ON tombstone
BEGIN SELECT RAISE(ABORT, 'a tombstone stays for ever'); END;
-- A REPLACE would take the old row away without asking the two above.
CREATE TRIGGER tombstone_once BEFORE INSERT ON tombstone
WHEN EXISTS (SELECT 1 FROM tombstone WHERE kind = NEW.kind AND id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'a tombstone stays for ever'); END;
CREATE TRIGGER redaction_keep BEFORE DELETE ON redaction
WHEN CASE OLD.kind
    WHEN 'audit_log' THEN EXISTS (SELECT 1 FROM audit_log WHERE id = OLD.id)
    WHEN 'login_attempt' THEN EXISTS (SELECT 1 FROM login_attempt WHERE id = OLD.id)
    WHEN 'data_export' THEN EXISTS (SELECT 1 FROM data_export WHERE id = OLD.id)
    WHEN 'system_event' THEN EXISTS (SELECT 1 FROM system_event WHERE id = OLD.id)
    ELSE 1 END
BEGIN SELECT RAISE(ABORT, 'what a redacted event is checked with stays as long as the event'); END;
CREATE TRIGGER redaction_fixed BEFORE UPDATE ON redaction
WHEN NEW.kind <> OLD.kind OR NEW.id <> OLD.id OR NEW.seq <= OLD.seq OR NOT EXISTS
    (SELECT 1 FROM ledger WHERE seq = NEW.seq AND seq = (SELECT max(seq) FROM ledger) AND entry = 'redacted' AND kind = NEW.kind AND id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'what a redacted event is checked with stays as it is'); END;
CREATE TRIGGER purge_keep BEFORE DELETE ON purge
BEGIN SELECT RAISE(ABORT, 'the record of a purge stays for ever'); END;
CREATE TRIGGER purge_fixed BEFORE UPDATE ON purge
BEGIN SELECT RAISE(ABORT, 'the record of a purge stays for ever'); END;
CREATE TRIGGER incarnation_keep BEFORE DELETE ON incarnation
BEGIN SELECT RAISE(ABORT, 'the lives of the database stay for ever'); END;
CREATE TRIGGER incarnation_fixed BEFORE UPDATE ON incarnation
BEGIN SELECT RAISE(ABORT, 'the lives of the database stay for ever'); END;
CREATE TRIGGER hold_keep BEFORE DELETE ON hold
BEGIN SELECT RAISE(ABORT, 'a hold is released, never removed'); END;
CREATE TRIGGER hold_fixed BEFORE UPDATE OF id, kind, query, reason, held_at, held_by ON hold
BEGIN SELECT RAISE(ABORT, 'a hold is released, never changed'); END;

CREATE TRIGGER audit_log_keep BEFORE DELETE ON audit_log
WHEN NOT EXISTS (SELECT 1 FROM tombstone WHERE kind = 'audit_log' AND id = OLD.id)
 AND NOT EXISTS (SELECT 1 FROM purge WHERE kind = 'audit_log' AND to_id >= OLD.id AND from_id <= OLD.id AND seq > OLD.seq)
BEGIN SELECT RAISE(ABORT, 'an event is deleted through auditadmin only, which leaves a trace'); END;
CREATE TRIGGER login_attempt_keep BEFORE DELETE ON login_attempt
WHEN NOT EXISTS (SELECT 1 FROM tombstone WHERE kind = 'login_attempt' AND id = OLD.id)
 AND NOT EXISTS (SELECT 1 FROM purge WHERE kind = 'login_attempt' AND to_id >= OLD.id AND from_id <= OLD.id AND seq > OLD.seq)
BEGIN SELECT RAISE(ABORT, 'an event is deleted through auditadmin only, which leaves a trace'); END;
CREATE TRIGGER data_export_keep BEFORE DELETE ON data_export
WHEN NOT EXISTS (SELECT 1 FROM tombstone WHERE kind = 'data_export' AND id = OLD.id)
 AND NOT EXISTS (SELECT 1 FROM purge WHERE kind = 'data_export' AND to_id >= OLD.id AND from_id <= OLD.id AND seq > OLD.seq)
BEGIN SELECT RAISE(ABORT, 'an event is deleted through auditadmin only, which leaves a trace'); END;
CREATE TRIGGER system_event_keep BEFORE DELETE ON system_event
WHEN NOT EXISTS (SELECT 1 FROM tombstone WHERE kind = 'system_event' AND id = OLD.id)
 AND NOT EXISTS (SELECT 1 FROM purge WHERE kind = 'system_event' AND to_id >= OLD.id AND from_id <= OLD.id AND seq > OLD.seq)
BEGIN SELECT RAISE(ABORT, 'an event is deleted through auditadmin only, which leaves a trace'); END;

CREATE TRIGGER audit_log_gone AFTER DELETE ON audit_log
BEGIN DELETE FROM redaction WHERE kind = 'audit_log' AND id = OLD.id; END;
CREATE TRIGGER login_attempt_gone AFTER DELETE ON login_attempt
BEGIN DELETE FROM redaction WHERE kind = 'login_attempt' AND id = OLD.id; END;
CREATE TRIGGER data_export_gone AFTER DELETE ON data_export
BEGIN DELETE FROM redaction WHERE kind = 'data_export' AND id = OLD.id; END;
CREATE TRIGGER system_event_gone AFTER DELETE ON system_event
BEGIN DELETE FROM redaction WHERE kind = 'system_event' AND id = OLD.id; END;

-- An event changes at the moment of its redaction alone, while the entry for that
-- is the ledger's last one.
CREATE TRIGGER audit_log_fixed BEFORE UPDATE ON audit_log
WHEN NOT EXISTS (SELECT 1 FROM redaction WHERE kind = 'audit_log' AND id = OLD.id AND seq = (SELECT max(seq) FROM ledger))
  OR NEW.id <> OLD.id OR NEW.seq <> OLD.seq OR NEW.timestamp <> OLD.timestamp OR NEW.recorded_at <> OLD.recorded_at OR NEW.seed IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an event is never edited'); END;
CREATE TRIGGER login_attempt_fixed BEFORE UPDATE ON login_attempt
WHEN NOT EXISTS (SELECT 1 FROM redaction WHERE kind = 'login_attempt' AND id = OLD.id AND seq = (SELECT max(seq) FROM ledger))
  OR NEW.id <> OLD.id OR NEW.seq <> OLD.seq OR NEW.timestamp <> OLD.timestamp OR NEW.recorded_at <> OLD.recorded_at OR NEW.seed IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an event is never edited'); END;
CREATE TRIGGER data_export_fixed BEFORE UPDATE OF
    id, seq, timestamp, recorded_at, source, event_id, user_id, username, export_type, file_format,
    record_count, file_size, ip_address, session_key, request_id, file_path, filters_applied, metadata,
    seed
ON data_export
WHEN NOT EXISTS (SELECT 1 FROM redaction WHERE kind = 'data_export' AND id = OLD.id AND seq = (SELECT max(seq) FROM ledger))
  OR NEW.id <> OLD.id OR NEW.seq <> OLD.seq OR NEW.timestamp <> OLD.timestamp OR NEW.recorded_at <> OLD.recorded_at OR NEW.seed IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an event is never edited'); END;
CREATE TRIGGER system_event_fixed BEFORE UPDATE OF
    id, seq, timestamp, recorded_at, source, event_id, event_type, title, module, function_name,
    line_number, error_code, user_id, username, ip_address, session_key, request_id, description,
    stack_trace, metadata, seed
ON system_event
WHEN NOT EXISTS (SELECT 1 FROM redaction WHERE kind = 'system_event' AND id = OLD.id AND seq = (SELECT max(seq) FROM ledger))
  OR NEW.id <> OLD.id OR NEW.seq <> OLD.seq OR NEW.timestamp <> OLD.timestamp OR NEW.recorded_at <> OLD.recorded_at OR NEW.seed IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an event is never edited'); END;

-- ---------------------------------------------------------------- text search

-- Which events hold which runs of three letters, in their folded searchable
-- text. This is derived, may trail behind the ledger, and can be made again at
-- any time; meta 'search:KIND' is the seq up to which it is complete,
-- and 'search:lot' the highest number a lot ever had.

-- A lot is up to 65,536 events of one kind, in the order of the ledger.
CREATE TABLE search_lot (
    lot        INTEGER NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL,
    first      INTEGER NOT NULL,  -- seq of its first event
    last       INTEGER NOT NULL,  -- seq of its last event
    rows       INTEGER NOT NULL,
    ready      INTEGER NOT NULL,  -- 1 in use, 0 while it is made, -1 while it is taken away
    changed_at TEXT    NOT NULL,
    seqs       BLOB    NOT NULL   -- of its events, each as the distance from the one before
) STRICT;

-- The events of some trigrams of a lot: internal/trigram says in which form.
CREATE TABLE search_part (
    id   INTEGER NOT NULL PRIMARY KEY,  -- lot << 19 | the first of the trigrams
    data BLOB    NOT NULL
) STRICT;

-- Events whose text was changed or taken away, and is yet to be taken out of
-- their lots: runs of seq.
CREATE TABLE search_stale (
    kind  TEXT    NOT NULL,
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL,
    gone  INTEGER NOT NULL,  -- 1 where the events are gone, 0 where they say something else now
    PRIMARY KEY (kind, first, last)
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- settings

-- What a superuser has set: retention and the like. What is absent has its default.
CREATE TABLE setting (
    key        TEXT NOT NULL PRIMARY KEY,
    value      TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    changed_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- people who sign in

-- Who may sign in to auditadmin. An account is never removed, only disabled:
-- its name stands in what it did.
CREATE TABLE account (
    id            INTEGER NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    name_folded   TEXT    NOT NULL UNIQUE,      -- so that "Ines" and "ines" are one
    role          TEXT    NOT NULL,             -- viewer, responder, superuser
    password_hash TEXT    NOT NULL,             -- argon2id in PHC form; '' opens nothing
    disabled      INTEGER NOT NULL DEFAULT 0,
    created_at    TEXT    NOT NULL,
    last_login_at TEXT,
    issuer        TEXT    NOT NULL DEFAULT '',  -- who vouches for it (OpenID Connect); '' for an account of our own
    subject       TEXT    NOT NULL DEFAULT '',  -- what the issuer calls it, for ever
    code_secret   TEXT,                         -- second factor: what its codes are made of, sealed with the key file; NULL for none
    code_counter  INTEGER NOT NULL DEFAULT 0,   -- the time step of the last code accepted: no code of it or before is again
    code_since    TEXT                          -- when the second factor was set up
) STRICT;

-- One account for each person an issuer vouches for.
CREATE UNIQUE INDEX account_issued ON account (issuer, subject) WHERE issuer <> '';

-- Codes on paper for when the second factor is lost. Each is shown once and
-- opens once; this table holds its SHA-256.
CREATE TABLE recovery_code (
    code_hash  BLOB    NOT NULL PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    used_at    TEXT                             -- NULL: not yet
) STRICT, WITHOUT ROWID;

-- Half a sign-in: the password was right, and the code of the second factor is
-- still to come. A cookie holds the id, this table only its SHA-256. It opens
-- nothing but the page that asks for the code.
CREATE TABLE challenge (
    id_hash    BLOB    NOT NULL PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    method     TEXT    NOT NULL,                -- what was shown so far: password, issuer
    expires_at TEXT    NOT NULL,
    ip_address TEXT    NOT NULL,
    user_agent TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Open sessions. The cookie holds the id, this table only its SHA-256.
CREATE TABLE session (
    id_hash    BLOB    NOT NULL PRIMARY KEY,
    public_id  TEXT    NOT NULL UNIQUE,         -- names it on pages, opens nothing
    account_id INTEGER NOT NULL REFERENCES account (id),
    created_at TEXT    NOT NULL,
    seen_at    TEXT    NOT NULL,
    expires_at TEXT    NOT NULL,
    ip_address TEXT    NOT NULL,
    user_agent TEXT    NOT NULL,
    role       TEXT    NOT NULL DEFAULT '',     -- the account's role when the id was given: another role gets another id
    confirmed_at TEXT                           -- when its owner last showed who he is; NULL for not since the upgrade
) STRICT, WITHOUT ROWID;

-- Keys for programs. The secret is shown once; this table holds its SHA-256.
CREATE TABLE token (
    id          INTEGER NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    scope       TEXT    NOT NULL,               -- ingest, read
    secret_hash BLOB    NOT NULL UNIQUE,
    created_at  TEXT    NOT NULL,
    created_by  TEXT    NOT NULL,
    expires_at  TEXT,
    revoked_at  TEXT,
    used_at     TEXT
) STRICT;

-- Failed sign-ins in a row, by account name or address, and until when the
-- next try has to wait.
CREATE TABLE throttle (
    key      TEXT    NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    until    TEXT    NOT NULL,
    seen_at  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

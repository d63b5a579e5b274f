-- What keeps the tables of events from being distributed by id on Citus: one line
-- for each fault, none where they are ready. Only the catalog of PostgreSQL is read,
-- so this runs on any server, long before there is more than one.
--
-- A table of events is PRIMARY KEY (id) PARTITION BY RANGE (id) with a bigint, and
-- then create_distributed_table(name, 'id') has what it asks for: every unique index
-- holds id, no trigger, no foreign key without id, no identity or sequence (ids are
-- made by the program), one level of partitions, heap tables all of them.

WITH names (name) AS (VALUES ('audit_log'), ('login_attempt'), ('data_export'), ('system_event')),
-- The tables of events, and their partitions, which are distributed with them.
events AS (
    SELECT n.name, n.name AS said, c.oid, c.relkind, true AS whole FROM names n JOIN pg_class c ON c.oid = to_regclass(n.name)
    UNION ALL
    SELECT n.name, n.name || ', partition ' || p.relid::regclass, c.oid, c.relkind, false
    FROM names n JOIN pg_class t ON t.oid = to_regclass(n.name) AND t.relkind = 'p'
        CROSS JOIN pg_partition_tree(t.oid) p JOIN pg_class c ON c.oid = p.relid AND p.level > 0
),
id AS (SELECT a.attrelid AS oid, a.attnum, a.atttypid, a.attgenerated FROM pg_attribute a WHERE a.attname = 'id' AND NOT a.attisdropped),
faults (name, line) AS (
    SELECT n.name, n.name || ': there is no such table' FROM names n WHERE to_regclass(n.name) IS NULL
    UNION ALL
    SELECT e.name, e.said || ': is no partitioned table' FROM events e WHERE e.whole AND e.relkind <> 'p'
    UNION ALL
    SELECT e.name, e.said || ': has no column id of type bigint' FROM events e
    WHERE e.whole AND NOT EXISTS (SELECT FROM id WHERE id.oid = e.oid AND id.atttypid = 'bigint'::regtype)
    UNION ALL
    SELECT e.name, e.said || ': id is generated' FROM events e JOIN id ON id.oid = e.oid WHERE e.whole AND id.attgenerated <> ''
    UNION ALL
    SELECT e.name, e.said || ': is not partitioned by range of id alone' FROM events e JOIN pg_partitioned_table p ON p.partrelid = e.oid LEFT JOIN id ON id.oid = e.oid
    WHERE e.whole AND (p.partstrat <> 'r' OR p.partnatts <> 1 OR p.partattrs[0] IS DISTINCT FROM id.attnum)
    UNION ALL
    SELECT e.name, e.said || ': the primary key is not id alone' FROM events e LEFT JOIN id ON id.oid = e.oid
    WHERE e.whole AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = e.oid AND i.indisprimary AND i.indnkeyatts = 1 AND i.indkey[0] = id.attnum)
    UNION ALL
    -- What an index only carries (INCLUDE) stands behind its keys.
    SELECT e.name, e.said || ': unique index ' || i.indexrelid::regclass || ' lacks id' FROM events e JOIN pg_index i ON i.indrelid = e.oid LEFT JOIN id ON id.oid = e.oid
    WHERE i.indisunique AND NOT i.indisprimary
        AND NOT EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) k WHERE i.indkey[k] = id.attnum)
    UNION ALL
    SELECT e.name, e.said || ': exclusion constraint ' || k.conname FROM events e JOIN pg_constraint k ON k.conrelid = e.oid WHERE k.contype = 'x'
    UNION ALL
    SELECT e.name, e.said || ': trigger ' || g.tgname FROM events e JOIN pg_trigger g ON g.tgrelid = e.oid
    WHERE NOT g.tgisinternal AND g.tgparentid = 0
    UNION ALL
    SELECT e.name, e.said || ': foreign key ' || k.conname || ' lacks id' FROM events e JOIN pg_constraint k ON k.conrelid = e.oid LEFT JOIN id ON id.oid = e.oid
    WHERE k.contype = 'f' AND k.conparentid = 0 AND (id.attnum = ANY (k.conkey)) IS NOT TRUE
    UNION ALL
    SELECT e.name, e.said || ': foreign key ' || k.conname || ' of ' || k.conrelid::regclass || ' does not refer to id' FROM events e JOIN pg_constraint k ON k.confrelid = e.oid LEFT JOIN id ON id.oid = e.oid
    WHERE k.contype = 'f' AND k.conparentid = 0 AND (id.attnum = ANY (k.confkey)) IS NOT TRUE
    UNION ALL
    -- The column that follows id says where the row of the other table is, and cannot change.
    SELECT e.name, e.said || ': foreign key ' || k.conname || ' of ' || k.conrelid::regclass || ' sets what refers to id' FROM events e JOIN pg_constraint k ON k.confrelid = e.oid
    WHERE k.contype = 'f' AND k.conparentid = 0 AND (k.confdeltype IN ('n', 'd') OR k.confupdtype IN ('n', 'd', 'c'))
    UNION ALL
    SELECT e.name, e.said || ': identity on ' || a.attname FROM events e JOIN pg_attribute a ON a.attrelid = e.oid WHERE a.attnum > 0 AND a.attidentity <> '' AND NOT a.attisdropped
    UNION ALL
    SELECT DISTINCT e.name, e.said || ': sequence ' || d.refobjid::regclass || ' for ' || a.attname
    FROM events e JOIN pg_attrdef f ON f.adrelid = e.oid JOIN pg_attribute a ON a.attrelid = e.oid AND a.attnum = f.adnum
        JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass
        JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
    UNION ALL
    SELECT e.name, e.said || ': is partitioned itself' FROM events e WHERE NOT e.whole AND e.relkind = 'p'
    UNION ALL
    SELECT e.name, e.said || ': is a foreign table' FROM events e WHERE e.relkind = 'f'
    UNION ALL
    SELECT e.name, e.said || ': is stored as ' || m.amname || ', not as heap' FROM events e JOIN pg_class c ON c.oid = e.oid JOIN pg_am m ON m.oid = c.relam WHERE m.amname <> 'heap'
    UNION ALL
    SELECT e.name, e.said || ': inherits from ' || h.inhparent::regclass FROM events e JOIN pg_inherits h ON h.inhrelid = e.oid JOIN pg_class c ON c.oid = e.oid WHERE NOT c.relispartition
    UNION ALL
    SELECT e.name, e.said || ': ' || h.inhrelid::regclass || ' inherits from it' FROM events e JOIN pg_inherits h ON h.inhparent = e.oid WHERE e.relkind <> 'p'
    UNION ALL
    SELECT e.name, e.said || ': is a partition of ' || h.inhparent::regclass FROM events e JOIN pg_inherits h ON h.inhrelid = e.oid JOIN pg_class c ON c.oid = e.oid WHERE e.whole AND c.relispartition
    UNION ALL
    SELECT e.name, e.said || ': policy ' || p.polname || ' asks another table' FROM events e JOIN pg_policy p ON p.polrelid = e.oid
    WHERE concat(p.polqual, p.polwithcheck) LIKE '%{SUBLINK%'
)
SELECT line FROM faults ORDER BY name, line COLLATE "C"

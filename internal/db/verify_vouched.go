package db

import (
	"bytes"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// voucher is how the rows of one table are compared with the entries that vouch
// for them: what was deleted, redacted, purged, held, and where the database
// came back from a copy.
type voucher struct {
	table string
	entry string // what the entry is called in a sentence
	// rows selects, for each row of the table, its id, the seq, subject of the
	// entry that vouches for it and whether its values have their types, and then
	// the columns that its subject is made of.
	rows    string
	subject func(columns []string, blobs [][]byte) evidence.Hash
	texts   int // columns read as text, before those read as bytes
	blobs   int
	// there is, for each of the decisions that a row of the table has to stand for, an
	// entry called l, whether it is there.
	there map[evidence.Entry]string
	// bare is set where no row is needed once the event is gone.
	bare bool
}

// ofEveryKind is a statement with the name of each kind in place of @kind@, and the
// rows of all.
func ofEveryKind(statement string) string {
	var all []string
	for _, kind := range audit.Kinds() {
		all = append(all, strings.ReplaceAll(statement, "@kind@", string(kind)))
	}
	return strings.Join(all, " UNION ALL ")
}

// againThere begins a statement with a table, again, of the events that are there of
// those that the rows of another table are about. It stands by itself, since a cluster
// has the events on other machines than all the rest, and looks from the rows to the
// events, which are more.
func againThere(statement string) string {
	return "WITH again AS MATERIALIZED (" + ofEveryKind(statement) + ") "
}

// vouchersOf is the one table of them.
func vouchersOf(d dialect) []voucher {
	return []voucher{
		{
			table: "tombstone", entry: "deleted", texts: 9, blobs: 2,
			rows: againThere(`SELECT '@kind@' AS kind, t.id FROM tombstone t CROSS JOIN @kind@ e WHERE t.kind = '@kind@' AND e.id = t.id`) +
				`SELECT CAST(t.id AS BIGINT), l.seq, l.subject, ` + d.sound(`t.kind, t.timestamp, t.deleted_at, t.deleted_by, t.reason`, `t.event_id_hash`) + `,
				t.kind, t.id, t.seq, t.timestamp, t.deleted_at, t.deleted_by, t.reason, coalesce(c.recorded_at, ''),
				(SELECT count(*) FROM again a WHERE a.kind = t.kind AND a.id = t.id),
				t.event_id_hash, c.leaf
			FROM tombstone t
			LEFT JOIN ledger l ON l.seq = (SELECT max(seq) FROM ledger WHERE kind = t.kind AND id = t.id AND entry = 'deleted' AND entry <> 'created')
			LEFT JOIN ledger c ON c.seq = t.seq AND c.entry = 'created' AND c.kind = t.kind AND c.id = t.id`,
			subject: func(c []string, b [][]byte) evidence.Hash {
				leaf, ok := parseRoot(b[1])
				if !ok || c[8] != "0" {
					return evidence.Hash{} // not the place of its event, or the event is there again
				}
				gone := evidence.Gone(c[0], number(c[1]), number(c[2]), c[7], &leaf)
				return tombstoneSubject(audit.Kind(c[0]), number(c[1]), number(c[2]), c[3], b[0], c[4], c[5], c[6], gone)
			},
			there: map[evidence.Entry]string{evidence.Deleted: `SELECT 1 FROM tombstone t WHERE t.kind = l.kind AND t.id = l.id`},
		},
		{
			table: "redaction", entry: "redacted", texts: 3, blobs: 2,
			rows: againThere(`SELECT '@kind@' AS kind, r.id, r.seq, r.kept, e.seq AS place FROM redaction r CROSS JOIN @kind@ e WHERE r.kind = '@kind@' AND e.id = r.id`) +
				`SELECT CAST(r.id AS BIGINT), l.seq, l.subject, ` + d.sound(`r.kind`, `r.kept`) + `, r.kind, r.id, CASE WHEN l.seq = r.seq THEN 1 ELSE 0 END, r.kept, c.leaf
			FROM again r
			LEFT JOIN ledger l ON l.seq = (SELECT max(seq) FROM ledger WHERE kind = r.kind AND id = r.id AND entry = 'redacted' AND entry <> 'created')
			JOIN ledger c ON c.seq = r.place`,
			subject: func(c []string, b [][]byte) evidence.Hash {
				if c[2] != "1" {
					return evidence.Hash{}
				}
				return redactionSubject(audit.Kind(c[0]), number(c[1]), b[0], b[1])
			},
			there: map[evidence.Entry]string{evidence.Redacted: `SELECT 1 FROM redaction r WHERE r.kind = l.kind AND r.id = l.id`},
			bare:  true,
		},
		{
			table: "purge", entry: "purged", texts: 11, blobs: 2,
			rows: againThere(`SELECT p.seq FROM purge p CROSS JOIN @kind@ e WHERE p.kind = '@kind@' AND e.id BETWEEN p.from_id AND p.to_id AND e.seq < p.seq`) +
				`SELECT p.seq, l.seq, l.subject, ` + d.sound(`p.kind, p.first, p.last, p.purged_at, p.purged_by, p.reason, p.archive`, `p.root, p.names`) + `,
				p.kind, p.from_id, p.to_id, p.events, p.first, p.last, p.purged_at, p.purged_by, p.reason, p.archive,
				(SELECT count(*) FROM again a WHERE a.seq = p.seq),
				p.root, p.names
			FROM purge p LEFT JOIN ledger l ON l.seq = p.seq AND l.entry = 'purged' AND l.kind = p.kind AND l.id = p.to_id`,
			subject: func(c []string, b [][]byte) evidence.Hash {
				if c[10] != "0" {
					return evidence.Hash{} // an event that it took away is there again
				}
				return purgeSubject(audit.Kind(c[0]), number(c[1]), number(c[2]), number(c[3]), c[4], c[5], b[0], b[1], c[6], c[7], c[8], c[9])
			},
			there: map[evidence.Entry]string{evidence.Purged: `SELECT 1 FROM purge p WHERE p.seq = l.seq`},
		},
		{
			table: "hold", entry: "held", texts: 9,
			rows: `SELECT h.id, l.seq, l.subject, ` + d.sound(`h.kind, h.query, h.reason, h.held_at, h.held_by, coalesce(h.released_at, ''), h.released_by, h.release_reason`, ``) + `,
				h.id, h.kind, h.query, h.reason, h.held_at, h.held_by, coalesce(h.released_at, ''), h.released_by, h.release_reason
			FROM hold h LEFT JOIN ledger l ON l.seq = (SELECT max(seq) FROM ledger WHERE kind = 'hold' AND id = h.id AND entry <> 'created' AND entry IN ('held', 'released'))`,
			subject: func(c []string, b [][]byte) evidence.Hash {
				return holdSubject(number(c[0]), c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8])
			},
			there: map[evidence.Entry]string{
				evidence.Held:     `SELECT 1 FROM hold h WHERE h.id = l.id`,
				evidence.Released: `SELECT 1 FROM hold h WHERE h.id = l.id`,
			},
		},
		{
			table: "incarnation", entry: "restored", texts: 3,
			rows: `SELECT i.seq, l.seq, l.subject, ` + d.sound(`i.name, i.started_at, i.reason`, ``) + `, i.name, i.started_at, i.reason
			FROM incarnation i LEFT JOIN ledger l ON l.seq = i.seq AND l.entry = 'restored' WHERE i.seq > 0`,
			subject: func(c []string, b [][]byte) evidence.Hash { return incarnationSubject(c[0], c[1], c[2]) },
			there:   map[evidence.Entry]string{evidence.Restored: `SELECT 1 FROM incarnation i WHERE i.seq = l.seq`},
		},
	}
}

// vouched compares every row that an entry vouches for with that entry.
func (v *verification) vouched() error {
	vouchers := vouchersOf(v.store.dialect)
	for i := range vouchers {
		t := &vouchers[i]
		texts, blobs := make([]string, t.texts), make([][]byte, t.blobs)
		var id int64
		var seq sql.NullInt64
		var subject []byte
		var sound sql.NullBool
		dest := []any{&id, &seq, &subject, &sound}
		for i := range texts {
			dest = append(dest, (*nullText)(&texts[i]))
		}
		for i := range blobs {
			dest = append(dest, &blobs[i])
		}
		err := eachRow(v.ctx, v.store.worker(), t.rows, nil, func(row scanner) error {
			subject = nil
			clear(blobs)
			if err := row.Scan(dest...); err != nil {
				return err
			}
			p := Problem{Trouble: Altered, Table: t.table, ID: id, Seq: seq.Int64}
			want := t.subject(texts, blobs)
			switch {
			case !seq.Valid:
				p.Trouble, p.Detail = Inserted, "the ledger has no entry '"+t.entry+"' for it"
				v.problem(p)
			case !sound.Bool || !bytes.Equal(want[:], subject):
				p.Detail = fmt.Sprintf("it is not what its entry '%s' vouches for, or what it took away is there again", t.entry)
				v.problem(p)
				if t.table == "tombstone" {
					v.problem(Problem{Trouble: Altered, Table: "ledger", Seq: number(texts[2]), Detail: fmt.Sprintf("it recorded %s %s, whose tombstone vouches for something else", texts[0], texts[1])})
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return v.orphans(vouchers)
}

// orphansOf selects entry, seq, kind and id of the decisions whose row is not there. It
// looks through them once: a server does so twice a minute.
func orphansOf(vouchers []voucher) string {
	var cases strings.Builder
	for _, t := range vouchers {
		for _, entry := range slices.Sorted(maps.Keys(t.there)) {
			cases.WriteString(" WHEN '" + string(entry) + "' THEN EXISTS (" + t.there[entry] + ")")
		}
	}
	return "SELECT l.entry, l.seq, l.kind, CAST(l.id AS BIGINT) FROM ledger l WHERE l.entry <> 'created' AND NOT CASE l.entry" + cases.String() + " ELSE TRUE END"
}

// orphans names the decisions whose row is not there.
func (v *verification) orphans(vouchers []voucher) error {
	bare := map[audit.Kind]map[int64]Problem{} // what is missing if the event is there
	err := eachRow(v.ctx, v.store.worker(), orphansOf(vouchers), nil, func(row scanner) error {
		var entry evidence.Entry
		var kind audit.Kind
		var p Problem
		if err := row.Scan(&entry, &p.Seq, &kind, &p.ID); err != nil {
			return err
		}
		t := vouchers[slices.IndexFunc(vouchers, func(t voucher) bool { return t.there[entry] != "" })]
		p.Trouble, p.Table, p.Detail = Missing, t.table, "the ledger says '"+t.entry+"', and what stays of that is not there"
		switch {
		case !t.bare:
			v.problem(p)
		case tables[kind] != nil:
			if bare[kind] == nil {
				bare[kind] = map[int64]Problem{}
			}
			bare[kind][p.ID] = p
		}
		return nil
	})
	if err != nil {
		return err
	}
	for kind, missing := range bare {
		condition, among := v.store.dialect.among("e.id", slices.Collect(maps.Keys(missing)))
		err := eachRow(v.ctx, v.store.worker(), "SELECT e.id FROM "+string(kind)+" e WHERE "+condition, among, func(row scanner) error {
			var id int64
			if err := row.Scan(&id); err != nil {
				return err
			}
			v.problem(missing[id])
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

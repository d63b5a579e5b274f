package db

import (
	"bytes"
	"database/sql"
	"errors"
	"math"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// verifyRows is about how many rows one piece of work has, and mostParts how
// many pieces there are of one table.
const (
	verifyRows = 8192
	mostParts  = 1024
)

// rowReader is how the rows of one kind are read to be verified: its statements
// are the dialect's. What is text is joined into one value with a NUL after each
// column, since the driver's cost is per column and no text of an event holds a
// NUL: one that does was not stored by us. The seed and the ledger's leaf stand
// behind the last NUL.
type rowReader struct {
	table   *table
	columns int      // how many NULs there are: recorded_at, source, event_id, the stated fields, the state
	states  []string // names of the fields that may change
	byID    string   // from the table, by a range of ids
	bySeq   string   // from the ledger, by a range of seqs
	one     string   // by one id, each column by itself, with its type
	batch   string   // from the table, many rows in one: see checkBatch
}

// rowHead is recorded_at, source and event_id.
const rowHead = 3

// rows gives the work of verifying all events away, in ranges.
func (v *verification) rows(give func(func() error) error) error {
	if v.options.SinceCheckpoint {
		v.total = v.head - v.after
		for from := v.after; from < v.head; from += verifyRows {
			to := min(from+verifyRows, v.head)
			err := give(func() error {
				for _, kind := range audit.Kinds() {
					if err := v.checkRows(kind, v.readers[kind].bySeq, from, to); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	v.total = v.head
	for _, kind := range audit.Kinds() {
		if err := v.batches(kind, give); err != nil {
			return err
		}
	}
	return nil
}

// batches is rows for one kind, by ranges of ids.
func (v *verification) batches(kind audit.Kind, give func(func() error) error) error {
	var first, last sql.NullInt64
	// Each by itself: SQLite finds the least or the highest id at once, but for
	// both in one look it reads the whole table.
	err := v.store.worker().QueryRowxContext(v.ctx, "SELECT (SELECT min(id) FROM "+string(kind)+"), (SELECT max(id) FROM "+string(kind)+")").Scan(&first, &last)
	if err != nil || !first.Valid {
		return err
	}
	// By time and not by number, which would have to be counted: what is unequal
	// about them evens out over so many. A row whose id was set to another time is
	// in one of them all the same.
	parts := min(v.head/verifyRows+1, mostParts)
	step := max(uint64(last.Int64-first.Int64)/uint64(parts), 1)
	lo := int64(math.MinInt64)
	for i := range parts {
		hi := first.Int64 + int64(uint64(i+1)*step)
		if i == parts-1 || hi >= last.Int64 {
			hi = math.MaxInt64
		}
		from := lo
		if err := give(func() error { return v.checkBatches(kind, from, hi) }); err != nil {
			return err
		}
		if hi == math.MaxInt64 {
			break
		}
		lo = hi + 1
	}
	return nil
}

// checkRows verifies the rows of one range. Where the file is damaged it goes on
// in ever smaller parts of the range, down to the one row that cannot be read.
func (v *verification) checkRows(kind audit.Kind, query string, from, to int64) error {
	err := v.checkRange(kind, query, from, to)
	if !errors.Is(v.store.dialect.classify(err), ErrDamaged) {
		return err
	}
	if query == v.readers[kind].bySeq {
		if to-from > 1 {
			half := from + (to-from)/2
			return errors.Join(v.checkRows(kind, query, from, half), v.checkRows(kind, query, half, to))
		}
		v.problem(Problem{Trouble: Damaged, Table: string(kind), Seq: to, Detail: "it cannot be read: " + err.Error()})
		return nil
	}
	var ids []int64
	listing := v.store.worker().SelectContext(v.ctx, &ids, "SELECT id FROM "+string(kind)+" WHERE id >= ? AND id <= ? ORDER BY id LIMIT ?", from, to, 2*verifyRows)
	if listing != nil && !errors.Is(v.store.dialect.classify(listing), ErrDamaged) {
		return listing
	}
	switch {
	case from == to || len(ids) == 0:
		v.problem(Problem{Trouble: Damaged, Table: string(kind), ID: from, Detail: "it cannot be read: " + err.Error()})
		return nil
	case len(ids) == 1:
		return v.checkRows(kind, query, ids[0], ids[0])
	}
	half := ids[len(ids)/2]
	if ids[0] < from || half <= from || half > to || ids[len(ids)-1] > to {
		v.problem(Problem{Trouble: Damaged, Table: string(kind), ID: from, Detail: "its rows are not in the order of their ids: " + err.Error()})
		return nil // or it would divide the same range for ever
	}
	end := ids[len(ids)-1]
	if len(ids) == 2*verifyRows { // there may be more
		end = to
	}
	return errors.Join(v.checkRows(kind, query, ids[0], half-1), v.checkRows(kind, query, half, end))
}

// checkRange verifies the rows of one range. It counts what it saw when the whole range
// could be read, and has suspects looked at closer then.
func (v *verification) checkRange(kind audit.Kind, query string, from, to int64) error {
	rows, err := v.store.worker().QueryxContext(v.ctx, query, from, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	r := &readRow{rowReader: v.readers[kind]}
	r.parts = make([][]byte, r.columns)
	dest := []any{&r.id, &r.seq, &r.checks, &r.body, &r.kept, &r.state}
	seen := make([]int, 0, verifyRows)
	var suspects []Problem
	var n int
	var events, redacted int64
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		n++
		if r.placed() && v.inRange(r.seq) {
			seen = append(seen, v.bucket(r.seq))
		}
		fields, detail, red := r.check()
		if red {
			redacted++
		}
		if detail != "" {
			suspects = append(suspects, Problem{Trouble: Altered, Table: string(kind), ID: r.id, Seq: r.seq, Fields: fields, Detail: detail})
			continue
		}
		events++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	for _, b := range seen {
		v.seen[b].Add(1)
	}
	for _, p := range suspects {
		if err := v.suspect(kind, p); err != nil {
			return err
		}
	}
	v.mu.Lock()
	v.verdict.Events += events
	v.verdict.Redacted += redacted
	v.mu.Unlock()
	v.progress(n)
	return nil
}

// readRow is the row that was read last.
type readRow struct {
	*rowReader
	id, seq            int64
	checks             int64 // bits: its values have their types, and it is where the ledger says
	body, state, kept  sql.RawBytes
	parts              [][]byte // of the body
	source, recordedAt string   // one string for as many rows as say the same
}

func (r *readRow) placed() bool { return r.checks&2 != 0 }

func (r *readRow) sound() bool { return r.checks&1 != 0 }

// check holds the row against its leaf. detail says what is wrong with it, "" if nothing
// is, and fields in which fields where that is known; redacted is whether some of it was
// redacted.
func (r *readRow) check() (fields []string, detail string, redacted bool) {
	rest, whole := split(r.body, r.parts)
	if !whole || !r.sound() || !r.placed() {
		return nil, "its content or its place is not what the ledger says", false
	}
	var committed evidence.Committed
	var hints, leaf []byte
	form := r.table.form
	states := rowHead + len(form.Fields())
	eventID, values := string(r.parts[2]), r.parts[rowHead:states]
	if string(r.parts[1]) != r.source {
		r.source = string(r.parts[1])
	}
	if string(r.parts[0]) != r.recordedAt {
		r.recordedAt = string(r.parts[0])
	}
	seed, seedHints, ok := form.ParseSeed(rest[:max(0, len(rest)-32)])
	switch {
	case ok:
		hints, leaf = seedHints, rest[len(rest)-32:]
		committed = evidence.Commit(form, seed, r.source, eventID, values)
	case len(rest) == 32 && evidence.Kept(r.kept).Valid(form):
		redacted = true
		hints, leaf = evidence.Kept(r.kept).Hints(), rest
		committed = evidence.CommitKept(form, evidence.Kept(r.kept), r.source, eventID, values)
	default:
		return []string{"seed"}, "what its leaf was salted with is not there, and nothing in it was redacted", false
	}
	altered := committed.Altered(hints)
	switch got := committed.Leaf(r.id, r.seq, r.recordedAt); {
	case !bytes.Equal(got[:], leaf) && len(altered) == 0:
		return altered, "its source, event_id or seed is not what was recorded, or its leaf in the ledger is not", redacted
	case !bytes.Equal(got[:], leaf):
		return altered, "its content is not what was recorded", redacted
	case altered != nil:
		return []string{"seed"}, "the check bytes of its seed are not what was recorded", redacted
	case !r.decided(r.parts[states:], r.state):
		return r.states, "its state is not the one that the ledger decided last", redacted
	}
	return nil, "", redacted
}

// decided reports whether a row's state is the one that the ledger decided last,
// whose hash is subject, and whether it has none where none was decided.
func (r *rowReader) decided(values [][]byte, subject []byte) bool {
	some, states := false, make([]string, len(r.states))
	for i, b := range values {
		states[i] = string(b)
		if r.states[i] == "resolved" {
			states[i] = map[bool]string{true: "true", false: ""}[states[i] == "1"]
		}
		some = some || states[i] != ""
	}
	if len(subject) == 0 {
		return !some
	}
	want := stateSubject(r.table.kind, states...)
	return bytes.Equal(want[:], subject)
}

// split takes a body apart. It reports whether it has all of its parts; rest is
// what stands behind them.
func split(body []byte, parts [][]byte) (rest []byte, whole bool) {
	for i := range parts {
		at := bytes.IndexByte(body, 0)
		if at < 0 {
			return nil, false
		}
		parts[i], body = body[:at], body[at+1:]
	}
	return body, true
}

// suspect looks closer at a row that is not as it should be, to say what is
// wrong with it.
func (v *verification) suspect(kind audit.Kind, p Problem) error {
	r := v.readers[kind]
	var ledgerAt, rowAt sql.NullString
	types := make([]string, r.columns)
	var ledgerID sql.NullInt64
	dest := []any{&ledgerAt, &rowAt}
	for i := range types {
		dest = append(dest, &types[i])
	}
	dest = append(dest, &ledgerID)
	err := v.store.worker().QueryRowxContext(v.ctx, r.one, p.ID).Scan(dest...)
	if err == sql.ErrNoRows {
		return nil // deleted meanwhile, over its tombstone: v.gone looks at that
	}
	if err != nil {
		return err
	}
	names := append([]string{"recorded_at", "source", "event_id"}, r.table.form.Fields()...)
	names = append(names, r.states...)
	for i, name := range names {
		want := "text"
		if f := kind.Index(name); f >= 0 && (r.table.fields[f].Type == audit.Integer || r.table.fields[f].Type == audit.Boolean) {
			want = "integer"
		}
		if types[i] != want && types[i] != "null" {
			p.Fields, p.Detail = append(p.Fields, name), "a value is stored as "+types[i]+" and should be "+want
		}
	}
	switch {
	case len(p.Fields) > 0:
	case !ledgerID.Valid || ledgerID.Int64 != p.ID:
		v.mu.Lock()
		if v.doubted[kind] == nil {
			v.doubted[kind] = map[int64]bool{}
		}
		v.doubted[kind][p.ID] = true
		v.mu.Unlock()
		return nil // v.judgeDoubted looks at all of them together
	case ledgerAt.String != rowAt.String:
		p.Fields, p.Detail = []string{"recorded_at"}, "the ledger says "+shortText(ledgerAt.String)+" and the row "+shortText(rowAt.String)
	}
	v.problem(p)
	return nil
}

func shortText(s string) string {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

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
		var from, last sql.NullInt64
		// Each by itself: SQLite finds the least or the highest id at once, but for
		// both in one look it reads the whole table.
		err := v.store.worker().QueryRowxContext(v.ctx, "SELECT (SELECT min(id) FROM "+string(kind)+"), (SELECT max(id) FROM "+string(kind)+")").Scan(&from, &last)
		if err != nil {
			return err
		}
		if !from.Valid {
			continue
		}
		// By time and not by number, which would have to be counted: what is unequal
		// about them evens out over so many. A row whose id was set to another time is
		// in one of them all the same.
		parts := min(v.head/verifyRows+1, mostParts)
		step := max(uint64(last.Int64-from.Int64)/uint64(parts), 1)
		lo := int64(math.MinInt64)
		for i := range parts {
			hi := from.Int64 + int64(uint64(i+1)*step)
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

func (v *verification) checkRange(kind audit.Kind, query string, from, to int64) error {
	r := v.readers[kind]
	fields := len(r.table.form.Fields())
	var (
		id, seq     int64
		checks      int64
		source      string // of the row before, as often of this one
		recordedAt  string
		body        sql.RawBytes
		state, kept sql.RawBytes
		parts       = make([][]byte, r.columns)
		suspects    []Problem
		seen        = make([]int, 0, verifyRows)
		n           int
		events, red int64
		dest        = []any{&id, &seq, &checks, &body, &kept, &state}
	)
	rows, err := v.store.worker().QueryxContext(v.ctx, query, from, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		n++
		placed, sound := checks&2 != 0, checks&1 != 0
		if placed && v.inRange(seq) {
			seen = append(seen, v.bucket(seq))
		}
		rest, whole := split(body, parts)
		p := Problem{Trouble: Altered, Table: string(kind), ID: id, Seq: seq}
		if !whole || !sound || !placed {
			p.Detail = "its content or its place is not what the ledger says"
			suspects = append(suspects, p)
			continue
		}
		var committed evidence.Committed
		var hints, leaf []byte
		eventID, values := string(parts[2]), parts[rowHead:rowHead+fields]
		if string(parts[1]) != source {
			source = string(parts[1])
		}
		if string(parts[0]) != recordedAt {
			recordedAt = string(parts[0])
		}
		seed, seedHints, ok := r.table.form.ParseSeed(rest[:max(0, len(rest)-32)])
		switch {
		case ok:
			hints, leaf = seedHints, rest[len(rest)-32:]
			committed = evidence.Commit(r.table.form, seed, source, eventID, values)
		case len(rest) == 32 && evidence.Kept(kept).Valid(r.table.form):
			red++
			hints, leaf = evidence.Kept(kept).Hints(), rest
			committed = evidence.CommitKept(r.table.form, evidence.Kept(kept), source, eventID, values)
		default:
			p.Fields, p.Detail = []string{"seed"}, "what its leaf was salted with is not there, and nothing in it was redacted"
			suspects = append(suspects, p)
			continue
		}
		if got := committed.Leaf(id, seq, recordedAt); !bytes.Equal(got[:], leaf) {
			p.Fields, p.Detail = committed.Altered(hints), "its content is not what was recorded"
			if len(p.Fields) == 0 {
				p.Detail = "its source, event_id or seed is not what was recorded, or its leaf in the ledger is not"
			}
			suspects = append(suspects, p)
			continue
		}
		if altered := committed.Altered(hints); altered != nil {
			p.Fields, p.Detail = []string{"seed"}, "the check bytes of its seed are not what was recorded"
			suspects = append(suspects, p)
			continue
		}
		if !r.decided(parts[rowHead+fields:], state) {
			p.Fields, p.Detail = r.states, "its state is not the one that the ledger decided last"
			suspects = append(suspects, p)
			continue
		}
		events++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	for _, b := range seen { // now that the whole range could be read
		v.seen[b].Add(1)
	}
	for _, p := range suspects {
		if err := v.suspect(kind, p); err != nil {
			return err
		}
	}
	v.mu.Lock()
	v.verdict.Events += events
	v.verdict.Redacted += red
	v.mu.Unlock()
	v.progress(n)
	return nil
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

package db

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// builderRows is how many events are gathered for one segment: a power of two,
// so that a few of them fill one to the brim.
const builderRows = 1 << 14

// pieceWords is after how many bytes of words fewer events are gathered, and what is in
// memory is written to a file: each may have audit.MaxField of them.
const pieceWords = 32 << 20

// viewBuilder adds pieces to a view.
type viewBuilder struct {
	*segment.Builder
	k  *kindColumns
	v  *view
	lo int64
}

func (k *kindColumns) builder(v *view) *viewBuilder {
	b := &viewBuilder{Builder: segment.NewBuilder(k.layout), k: k, v: v}
	if n := len(v.segments); n > 0 {
		b.lo = v.segments[n-1].hi
	}
	return b
}

// add adds an event by the values of its columns, numbers last.
func (b *viewBuilder) add(id, seq int64, timestamp sql.RawBytes, values []sql.RawBytes) {
	micros := id >> idBits
	if b.v.spread > 0 {
		if t, err := audit.ParseTime(string(timestamp)); err == nil {
			micros = t.UnixMicro()
		}
	}
	b.Add(id, seq, micros)
	for i := range b.k.exprs {
		b.Text(i, values[i])
	}
	for i := range b.k.numbers {
		n, err := strconv.ParseInt(string(values[len(b.k.exprs)+i]), 10, 64)
		b.Number(i, n, err == nil)
	}
	if b.Len() == builderRows || b.TextBytes() >= b.k.words {
		b.build(seq)
	}
}

// build makes a piece of what was added, which is up to hi.
func (b *viewBuilder) build(hi int64) {
	if made := b.Build(); made != nil {
		b.v.add(&piece{Segment: made, lo: b.lo, hi: hi}, b.k.sealing, b.k.words)
		b.lo = hi
	}
}

// read adds to a view the events recorded after known, up to a seq, whose ids lie
// within a range, and returns how many they are.
func (k *kindColumns) read(ctx context.Context, tx sqlx.QueryerContext, v *view, known, upTo int64, ids idRange) (n int64, err error) {
	names := ""
	for _, n := range k.exprs {
		names += ", " + n
	}
	for _, n := range k.numbers {
		names += ", e." + n
	}
	// The sum keeps every engine from going through all events to look for the entry
	// of each: it is the other way round.
	statement := "SELECT e.id, e.seq, e.timestamp" + names + " FROM ledger l JOIN " + string(k.kind) + " e ON e.id = l.id AND e.seq = l.seq + 0" +
		" WHERE l.seq > ? AND l.seq <= ? AND l.kind = ? AND l.entry = 'created' AND e.id BETWEEN ? AND ? ORDER BY l.seq"
	values := make([]sql.RawBytes, len(k.exprs)+len(k.numbers))
	var id, seq int64
	var timestamp sql.RawBytes
	dest := []any{&id, &seq, &timestamp}
	for i := range values {
		dest = append(dest, &values[i])
	}
	b := k.builder(v)
	err = eachRow(ctx, tx, statement, []any{known, upTo, k.kind, ids.lo, ids.hi}, func(r scanner) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		b.add(id, seq, timestamp, values)
		n++
		return nil
	})
	if err != nil {
		return n, err
	}
	b.build(upTo)
	return n, nil
}

// readRecent is read for events that are at hand.
func (k *kindColumns) readRecent(v *view, fresh []recentRow, upTo int64) {
	b := k.builder(v)
	values := make([]sql.RawBytes, len(k.exprs)+len(k.numbers))
	var timestamp sql.RawBytes
	for _, row := range fresh {
		for i, t := range k.layout.Texts {
			if name, is := strings.CutPrefix(t.Name, filled); !is {
				values[i] = append(values[i][:0], row.read(k.kind, t.Name)...)
			} else if row.read(k.kind, name) != "" {
				values[i] = append(values[i][:0], '1')
			} else {
				values[i] = append(values[i][:0], '0')
			}
		}
		for i, name := range k.numbers {
			at := len(k.exprs) + i
			values[at] = append(values[at][:0], row.read(k.kind, name)...)
		}
		timestamp = append(timestamp[:0], row.read(k.kind, "timestamp")...)
		b.add(row.id, row.seq, timestamp, values)
	}
	b.build(upTo)
}

package db

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
)

// Each calls fn with every event of the selection, newest first, one at a time,
// while the next few hundred are read. An event deleted meanwhile is left out.
// However frequent a text is, Each looks at every row. It keeps no snapshot of the
// database: what it shows is the state that the selection was taken of, since
// events do not change, and the log can be written back however long fn takes.
func (sel *Selection) Each(ctx context.Context, fn func(*Stored) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var ahead []chan stretch
	defer func() {
		cancel()
		for _, c := range ahead {
			<-c // nothing reads on after Each is over
		}
	}()
	next := func() error {
		st := <-ahead[0]
		ahead = ahead[1:]
		if st.panicked != nil {
			panic(st.panicked) // here, where whoever asked recovers
		}
		for _, row := range st.rows {
			sel.store.damage.met(row)
			if err := fn(row); err != nil {
				return err
			}
		}
		if st.err != nil || len(st.rest) == 0 {
			return st.err
		}
		return sel.store.eachByID(ctx, sel.filter.Kind, st.rest, fn)
	}
	err := sel.eachPlace(ctx, func(places []rowPlace) error {
		c := make(chan stretch, 1)
		ahead = append(ahead, c)
		go func() {
			var st stretch
			defer func() {
				st.panicked = recover()
				c <- st
			}()
			st = sel.read(ctx, places)
		}()
		if len(ahead) < stretchesAhead {
			return nil
		}
		return next()
	})
	for err == nil && len(ahead) > 0 {
		err = next()
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", sel.filter.Kind.Plural(), sel.store.dialect.classify(err))
	}
	return nil
}

// stretchesAhead is how many stretches are read at the same time, while another
// is given to whoever asked.
const stretchesAhead = 3

// stretch is some rows next to each other, newest first.
type stretch struct {
	rows []*Stored
	rest []int64 // that were not read, since these here are large
	err  error

	panicked any // what the reading of them panicked with
}

// read reads the rows of places.
func (sel *Selection) read(ctx context.Context, places []rowPlace) (st stretch) {
	if len(places) == 0 {
		return st
	}
	ids := make([]int64, len(places))
	for i, p := range places {
		ids[i] = p.id(sel.view)
	}
	s, t := sel.store, tables[sel.filter.Kind]
	text, ok := s.dialect.inOne(t.names)
	if !ok {
		st.err = s.eachByID(ctx, sel.filter.Kind, ids, func(row *Stored) error {
			st.rows = append(st.rows, row)
			return nil
		})
		return st
	}
	// Where nearly all events of a stretch of time are wanted it is read from one
	// end to the other, instead of by one look for each.
	newest, oldest := ids[0], ids[len(ids)-1]
	condition, args := "e.id BETWEEN ? AND ?", []any{oldest, newest}
	if sel.view.between(oldest, newest) > 2*len(ids) {
		condition, args = s.dialect.among("e.id", ids)
	}
	size, at, strange := 0, 0, false
	var raw sql.RawBytes
	err := eachRow(ctx, s.back, "SELECT "+text+" FROM "+string(t.kind)+" e WHERE "+condition+" ORDER BY e.id DESC", args, func(row scanner) error {
		if err := row.Scan(&raw); err != nil {
			return err
		}
		id := leadingNumber(raw)
		for at < len(ids) && ids[at] > id {
			at++
		}
		if at == len(ids) || ids[at] != id {
			return nil // not of the selection
		}
		if size += len(raw); size > readBytes && len(st.rows) > 0 {
			return errPageFull
		}
		at++
		event, err := t.parse(string(raw))
		if err != nil { // nothing that we stored: see reread
			event, strange = &Stored{ID: id}, true
		}
		st.rows = append(st.rows, event)
		return nil
	})
	switch {
	case errors.Is(err, errPageFull):
		st.rest = ids[at:]
	case err != nil:
		st.err = err
	}
	if strange && st.err == nil {
		st.rows, st.err = s.reread(ctx, t, st.rows)
	}
	return st
}

// reread reads the rows that could not be taken apart, which have no event yet,
// column by column. No connection is in use when it is called: another one might
// not be free.
func (s *Store) reread(ctx context.Context, t *table, rows []*Stored) ([]*Stored, error) {
	kept := rows[:0]
	for _, row := range rows {
		if row.Event == nil {
			var err error
			row, err = t.scan(s.back.QueryRowxContext(ctx, t.byID, row.ID))
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return kept, err
			}
		}
		kept = append(kept, row)
	}
	return kept, nil
}

// between is how many rows of the view, deleted or not, have ids from lo to hi.
func (v *view) between(lo, hi int64) int {
	n := 0
	for _, p := range v.segments {
		if p.Len() > 0 && p.MinID() <= hi && p.MaxID() >= lo {
			n += p.Search(hi+1) - p.Search(lo)
		}
	}
	return n
}

// partBreak stands between the columns of a row that is read as one text. No
// stored text holds it.
const partBreak = "\x00"

func leadingNumber(raw []byte) (n int64) {
	for _, c := range raw[:max(0, bytes.IndexByte(raw, partBreak[0]))] {
		n = n*10 + int64(c-'0')
	}
	return n
}

// errOtherRow says that a text is not a row with as many columns as there are.
var errOtherRow = errors.New("not a row of this kind")

// parse takes a row apart whose columns, those of t.names, are one text.
func (t *table) parse(text string) (*Stored, error) {
	const own = 5 // columns before the fields
	parts := make([]string, own+len(t.fields))
	for i := range parts {
		part, rest, more := strings.Cut(text, partBreak)
		if more != (i < len(parts)-1) {
			return nil, errOtherRow
		}
		parts[i], text = part, rest
	}
	st := &Stored{}
	st.ID, st.Seq = leadingNumber([]byte(parts[0]+partBreak)), leadingNumber([]byte(parts[1]+partBreak))
	st.RecordedAt, _ = audit.ParseTime(parts[2])
	values := parts[own:]
	for i, f := range t.fields {
		if f.Type == audit.Boolean {
			values[i] = map[bool]string{true: "true", false: ""}[values[i] == "1"]
		}
	}
	st.Damaged = t.mend(st.ID, values)
	st.Event = audit.NewEventWithValues(t.kind, values)
	st.Source, st.EventID = parts[3], parts[4]
	return st, nil
}

func (sel *Selection) eachPlace(ctx context.Context, fn func([]rowPlace) error) error {
	const chunk = 512
	walking := sel.walking()
	it := sel.newest(sel.bases(ctx, noKey), math.MaxInt64)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		var places []rowPlace
		for len(places) < chunk {
			p, ok := it.next()
			if !ok {
				break
			}
			places = append(places, p)
		}
		if len(places) == 0 {
			return nil
		}
		if walking != nil {
			var err error
			if places, err = sel.pass(ctx, walking, places); err != nil {
				return err
			}
		}
		if err := fn(places); err != nil {
			return err
		}
	}
}

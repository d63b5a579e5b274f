package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/audit"
)

// Each calls fn with every event of the selection, newest first, one at a time,
// while the next few hundred are read. An event deleted meanwhile is left out.
// However frequent a text is, Each looks at every row. It keeps no snapshot of the
// database: what it shows is the state that the selection was taken of, since
// events do not change, and the log can be written back however long fn takes.
func (sel *Selection) Each(ctx context.Context, fn func(*Stored) error) error {
	return sel.eachStretch(ctx,
		func(ctx context.Context, ids []int64, st *stretch) {
			st.rest, st.err = sel.read(ctx, ids, nil, func(row *Stored) { st.rows = append(st.rows, row) })
		},
		func(st *stretch) error {
			for _, row := range st.rows {
				if err := fn(row); err != nil {
					return err
				}
			}
			clear(st.rows)
			st.rows = st.rows[:0]
			return sel.store.eachByID(ctx, sel.filter.Kind, st.rest, fn)
		})
}

// Encode calls write with what appendTo makes of the events of the selection, some
// hundred of them at a time, in the order of Each and with what Each says of them.
// appendTo appends one event to a text; it is called by several goroutines at once,
// and neither the event nor what it refers to is kept after it returns. The text
// belongs to Encode again when write returns.
func (sel *Selection) Encode(ctx context.Context, appendTo func(text []byte, row *Stored) []byte, write func(text []byte, events int) error) error {
	return sel.eachStretch(ctx,
		func(ctx context.Context, ids []int64, st *stretch) {
			if st.row == nil {
				st.row = &Stored{Event: audit.NewEvent(sel.filter.Kind)}
			}
			st.rest, st.err = sel.read(ctx, ids, st.row, func(row *Stored) {
				st.text = appendTo(st.text, row)
				st.events++
			})
		},
		func(st *stretch) error {
			give := func() error {
				text, events := st.text, st.events
				if st.text, st.events = st.text[:0], 0; events == 0 {
					return nil
				}
				return write(text, events)
			}
			if err := give(); err != nil {
				return err
			}
			err := sel.store.eachByID(ctx, sel.filter.Kind, st.rest, func(row *Stored) error {
				st.text, st.events = appendTo(st.text, row), 1
				return give()
			})
			if cap(st.text) > 2*readBytes {
				st.text = nil // of something huge, for once
			}
			return err
		})
}

// stretchesAhead is how many stretches are read at the same time, while another
// is given to whoever asked.
const stretchesAhead = 3

// stretch is some events next to each other, newest first: themselves, or what was
// made of them.
type stretch struct {
	rows []*Stored

	row    *Stored // the one that is read
	text   []byte
	events int // in the text

	rest []int64 // that were not read, since those that were are large
	err  error

	panicked any // what the reading of them panicked with
}

// eachStretch has the selection read, several stretches at once, and gives them
// away in their order. A stretch that was given away is used again.
func (sel *Selection) eachStretch(ctx context.Context, read func(context.Context, []int64, *stretch), give func(*stretch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var ahead []chan *stretch
	var spare []*stretch
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
		if err := give(st); err != nil {
			return err
		}
		spare = append(spare, st)
		return st.err
	}
	err := sel.eachPlace(ctx, func(places []rowPlace) error {
		st, c := &stretch{}, make(chan *stretch, 1)
		if n := len(spare); n > 0 {
			st, spare = spare[n-1], spare[:n-1]
		}
		ahead = append(ahead, c)
		go func() {
			defer func() {
				st.panicked = recover()
				c <- st
			}()
			ids := make([]int64, len(places))
			for i, p := range places {
				ids[i] = p.id(sel.view)
			}
			read(ctx, ids, st)
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
		return fmt.Errorf("read %s: %w", sel.filter.Kind.Plural(), sel.store.readDialect.classify(err))
	}
	return nil
}

// read calls fn with the rows of ids, which are newest first, and in that order.
// After some megabytes it stops, and returns the ids that are left. Where room is not
// nil it is what fn is called with each time.
func (sel *Selection) read(ctx context.Context, ids []int64, room *Stored, fn func(*Stored)) (rest []int64, err error) {
	size := 0
	give := func(row *Stored) (full bool) {
		fn(row)
		size += row.size()
		return size > readBytes
	}
	for dense := true; len(ids) > 0 && size <= readBytes; {
		part := ids[:min(len(ids), joinedRows)]
		// Where nearly all events of a stretch of time are wanted it is read from one
		// end to the other, instead of by one look for each.
		dense = dense && sel.view.between(part[len(part)-1], part[0]) <= 2*len(part)
		done, strange, err := sel.readJoined(ctx, part, dense, room, give)
		dense = done == len(part) // or there is more between them than there was
		if strange && err == nil {
			var more int
			more, err = sel.readEach(ctx, part[done:], give)
			done += more
		}
		if err != nil {
			return nil, err
		}
		ids = ids[done:]
	}
	return ids, nil
}

// readEach is read for rows that are not to be joined. It returns how many of the
// ids are done with.
func (sel *Selection) readEach(ctx context.Context, ids []int64, give func(*Stored) (full bool)) (done int, err error) {
	err = sel.store.eachByID(ctx, sel.filter.Kind, ids, func(row *Stored) error {
		for ids[done] != row.ID {
			done++ // deleted meanwhile
		}
		done++
		if give(row) {
			return errPageFull
		}
		return nil
	})
	if errors.Is(err, errPageFull) {
		return done, nil
	}
	return len(ids), err
}

// readJoined is read for rows that the engine joins into one text. It returns how
// many of the ids it is done with, and whether the others have to be read by
// readEach.
func (sel *Selection) readJoined(ctx context.Context, ids []int64, dense bool, room *Stored, give func(*Stored) (full bool)) (done int, strange bool, err error) {
	s, t := sel.store, tables[sel.filter.Kind]
	condition, args := "e.id BETWEEN ? AND ?", []any{ids[len(ids)-1], ids[0]}
	if !dense {
		condition, args = s.dialect.among("e.id", ids)
	}
	rows, ok, err := s.readInOne(ctx, s.back, t.kind, t.names, condition, args)
	if err != nil || !ok {
		return 0, true, err
	}
	for last := int64(math.MaxInt64); rows.text != ""; {
		id, long, ok := rows.next()
		if !ok || id >= last {
			return done, true, nil
		}
		last = id
		for done < len(ids) && ids[done] > id {
			done++ // deleted meanwhile
		}
		wanted := done < len(ids) && ids[done] == id
		var row *Stored
		if long {
			if !wanted {
				continue
			}
			if row, err = t.scan(s.back.QueryRowxContext(ctx, t.byID, id)); errors.Is(err, sql.ErrNoRows) {
				continue
			} else if err != nil {
				return done, false, err
			}
		} else {
			if row = room; row == nil {
				row = &Stored{Event: audit.NewEvent(t.kind)}
			}
			row.ID = id
			if rows.text, err = t.parse(rows.text, row); err != nil {
				return done, true, nil
			}
			if !wanted {
				continue
			}
		}
		done++
		s.damage.met(row)
		if give(row) {
			return done, false, nil
		}
	}
	if rows.rows == joinedMost {
		return done, false, nil // there may be more of them
	}
	return len(ids), false, nil
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

// errOtherRow says that a text is not a row with as many columns as there are.
var errOtherRow = errors.New("not a row of this kind")

// parse takes the first of some rows apart, behind its id, whose columns are those
// of t.names, and puts them into row, whose event is one of the kind. It returns
// the other rows.
func (t *table) parse(text string, row *Stored) (rest string, err error) {
	rest = text
	column := func() string {
		value, after, more := strings.Cut(rest, partBreak)
		if !more {
			err = errOtherRow
		}
		rest = after
		return value
	}
	row.Seq = leadingNumber(column())
	row.RecordedAt, _ = audit.ParseTime(column())
	row.Source, row.EventID = column(), column()
	values := row.Values()
	for i := range values {
		values[i] = column()
		if t.fields[i].Type == audit.Boolean {
			values[i] = truth(values[i])
		}
	}
	row.Damaged = t.mend(row.ID, values, utf8.ValidString(text[:len(text)-len(rest)]))
	return rest, err
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

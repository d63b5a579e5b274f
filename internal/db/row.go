package db

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// Self is the source of what the program records about itself, and the module
// of its events.
const Self = "auditadmin"

// table is how the rows of one kind are written and read. All of its SQL is
// made once, from the kind's table of fields.
type table struct {
	kind     audit.Kind
	fields   []audit.Field
	form     *evidence.Form // of the fields that its events state for good
	stated   []int          // the places of those fields; nil where they are all
	names    []string       // of the columns of a whole row, in the order that scan reads
	columns  string         // the same as SQL
	byID     string
	inserts  inserts
	inserted []string // the columns they fill
	width    int      // arguments of one row for them
}

// insertRows is how many rows one statement inserts: the driver's cost is per
// call, and falls off at about twenty. What is left is inserted by the next ones.
var insertRows = [...]int{20, 5, 1}

// inserts are statements that insert so many rows as insertRows says.
type inserts [len(insertRows)]string

func insertsOf(statement, row string) (all inserts) {
	for i, n := range insertRows {
		all[i] = statement + row + strings.Repeat(", "+row, n-1)
	}
	return all
}

// tables holds the four tables; read only after it was made.
var tables = func() map[audit.Kind]*table {
	all := map[audit.Kind]*table{}
	for _, kind := range audit.Kinds() {
		t := &table{kind: kind, fields: kind.Fields()}
		names := []string{"id", "seq", "recorded_at", "source", "event_id"}
		var stated []string
		for i, f := range t.fields {
			names = append(names, f.Name)
			if !f.Mutable {
				stated, t.stated = append(stated, f.Name), append(t.stated, i)
			}
		}
		if t.form = evidence.NewForm(string(kind), stated...); len(stated) == len(t.fields) {
			t.stated = nil
		}
		for _, name := range names {
			t.names = append(t.names, "e."+name)
		}
		t.columns = strings.Join(t.names, ", ")
		names = append(names, "seed")
		t.byID = "SELECT " + t.columns + " FROM " + string(kind) + " e WHERE e.id = ?"
		row := "(?" + strings.Repeat(", ?", len(names)-1) + ")"
		t.inserts = insertsOf("INSERT INTO "+string(kind)+" ("+strings.Join(names, ", ")+") VALUES ", row)
		t.inserted, t.width = names, len(names)
		all[kind] = t
	}
	return all
}()

// arguments appends what the insert statements want for one event.
func (t *table) arguments(args []any, id, seq int64, recordedAt string, e *audit.Event, seed []byte) []any {
	args = append(args, id, seq, recordedAt, e.Source, orNull(e.EventID))
	for i, v := range e.Values() {
		switch t.fields[i].Type {
		case audit.Boolean:
			args = append(args, v == "true")
		case audit.Integer:
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				args = append(args, n)
			} else {
				args = append(args, nil)
			}
		case audit.JSON, audit.Time:
			args = append(args, orNull(v))
		default:
			args = append(args, v)
		}
	}
	return append(args, seed)
}

// commit computes what an event commits to, from everything that it states for
// good.
func (t *table) commit(seed evidence.Seed, e *audit.Event) evidence.Committed {
	return evidence.Commit(t.form, seed, e.Source, e.EventID, t.statedValues(e))
}

// statedValues are the values of what an event states for good, in the order of
// the form.
func (t *table) statedValues(e *audit.Event) []string {
	values := e.Values()
	if t.stated == nil {
		return values
	}
	stated := make([]string, len(t.stated))
	for i, at := range t.stated {
		stated[i] = values[at]
	}
	return stated
}

// commitAll computes what events commit to, each with a seed of its own.
func commitAll(events []*audit.Event) ([]evidence.Committed, error) {
	seeds := make([]byte, len(events)*evidence.SeedSize)
	if _, err := rand.Read(seeds); err != nil {
		return nil, fmt.Errorf("draw seeds for %d events: %w", len(events), err)
	}
	committed := make([]evidence.Committed, len(events))
	commit := func(from, to int) {
		for i := from; i < to; i++ {
			committed[i] = tables[events[i].Kind].commit(evidence.Seed(seeds[i*evidence.SeedSize:]), events[i])
		}
	}
	if half := len(events) / 2; half >= 64 { // two cores are there for one caller with many events
		var other sync.WaitGroup
		other.Go(func() { commit(0, half) })
		commit(half, len(events))
		other.Wait()
	} else {
		commit(0, len(events))
	}
	return committed, nil
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// scanner is one row of a result.
type scanner interface{ Scan(dest ...any) error }

// scan reads one whole row.
func (t *table) scan(row scanner) (*Stored, error) {
	st := &Stored{}
	var recordedAt, source nullText // which a damaged row may lack
	var eventID *string
	texts := make([]nullText, len(t.fields))
	dest := make([]any, 0, 5+len(texts))
	dest = append(dest, &st.ID, &st.Seq, &recordedAt, &source, &eventID)
	for i := range texts {
		dest = append(dest, &texts[i])
	}
	if err := row.Scan(dest...); err != nil {
		return nil, err
	}
	values := make([]string, len(texts))
	for i, v := range texts {
		values[i] = string(v)
		if t.fields[i].Type == audit.Boolean {
			values[i] = truth(values[i])
		}
	}
	st.Damaged = t.mend(st.ID, values, false)
	st.Event = audit.NewEventWithValues(t.kind, values)
	st.Source = string(source)
	if eventID != nil {
		st.EventID = *eventID
	}
	st.RecordedAt, _ = audit.ParseTime(string(recordedAt))
	return st, nil
}

// truth is the value of a column that holds a Boolean, as an event has it.
func truth(column string) string {
	if column == "1" {
		return "true"
	}
	return ""
}

// nullText reads any column as text, and NULL as "".
type nullText string

// Scan implements sql.Scanner.
func (n *nullText) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*n = ""
	case string:
		*n = nullText(v)
	case []byte:
		*n = nullText(v)
	case int64:
		*n = nullText(strconv.FormatInt(v, 10))
	case time.Time: // a hand-made database could declare anything
		*n = nullText(audit.FormatTime(v))
	default:
		*n = nullText(fmt.Sprint(v))
	}
	return nil
}

// queryer is a pool, a connection or a transaction.
type queryer interface {
	sqlx.QueryerContext
	sqlx.ExecerContext
}

// The rows that are read at once: as many as a page usually has, and fewer where
// they turn out to be large, so that events of a megabyte take no gigabyte.
const (
	readRows  = 128
	readBytes = 8 << 20
)

// eachByID calls fn with the rows of the given ids in the order of ids; an id
// without a row, deleted meanwhile, is left out. While fn runs no connection is
// in use, however long it takes.
func (s *Store) eachByID(ctx context.Context, kind audit.Kind, ids []int64, fn func(*Stored) error) error {
	t := tables[kind]
	for n := readRows; len(ids) > 0; {
		part := ids[:min(n, len(ids))]
		ids = ids[len(part):]
		found := make(map[int64]*Stored, len(part))
		size := 0
		condition, args := s.dialect.among("e.id", part)
		err := eachRow(ctx, s.ro, "SELECT "+t.columns+" FROM "+string(kind)+" e WHERE "+condition, args,
			func(row scanner) error {
				st, err := t.scan(row)
				if err == nil {
					found[st.ID] = st
					size += st.size()
				}
				return err
			})
		if err != nil {
			return err
		}
		for _, id := range part {
			if st := found[id]; st != nil {
				s.damage.met(st)
				if err := fn(st); err != nil {
					return err
				}
			}
		}
		if n = min(2*n, 2*readRows); size > 0 {
			n = min(n, max(1, len(part)*readBytes/size))
		}
	}
	return nil
}

// size is about how much memory the event takes, in bytes.
func (s *Stored) size() int {
	n := 0
	for _, v := range s.Values() {
		n += len(v)
	}
	return n
}

// eachRow runs a query and calls fn with each row of its result.
func eachRow(ctx context.Context, q sqlx.QueryerContext, query string, args []any, fn func(row scanner) error) error {
	rows, err := q.QueryxContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

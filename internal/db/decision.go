package db

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/internal/segment"
)

// decision is what an entry of the ledger changed in the columns.
type decision struct {
	from, to, seq     int64 // the ids it is about, and its own place
	deleted, redacted bool
	texts             map[int]string // unless deleted: what columns say now
}

// readDecisions reads what was decided after known, up to head. A decision may
// be in the rows read already; it is the same then.
func (k *kindColumns) readDecisions(ctx context.Context, tx sqlx.QueryerContext, v *view, known, head int64) ([]decision, error) {
	if known == 0 || known == head {
		return nil, nil // the rows read from the tables have them in
	}
	var all []decision
	var entries []string
	err := eachRow(ctx, tx, "SELECT seq, id, entry FROM ledger WHERE kind = ? AND seq > ? AND seq <= ? AND entry <> 'created' ORDER BY seq",
		[]any{k.kind, known, head}, func(r scanner) error {
			var d decision
			var entry string
			if err := r.Scan(&d.seq, &d.to, &entry); err != nil {
				return err
			}
			d.from = d.to
			switch entry {
			case "deleted", "purged":
				d.deleted = true
			case "redacted":
				d.redacted = true
			case "resolved", "reopened":
			default:
				return nil
			}
			all, entries = append(all, d), append(entries, entry)
			return nil
		})
	if err != nil {
		return nil, err
	}
	for i := range all {
		switch {
		case entries[i] == "purged":
			err := sqlx.GetContext(ctx, tx, &all[i].from, "SELECT from_id FROM purge WHERE seq = ?", all[i].seq)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return nil, err
			}
		case all[i].deleted || !v.misses(all[i].to, all[i].seq):
		default:
			if err := k.readChanged(ctx, tx, &all[i]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// misses reports whether some piece that may hold an event does not have the
// decisions up to seq in it.
func (v *view) misses(id, seq int64) bool {
	return slices.ContainsFunc(v.segments, func(p *piece) bool {
		return p.decided < seq && p.Len() > 0 && p.MinID() <= id && p.MaxID() >= id
	})
}

// readChanged reads what the columns of one event say now.
func (k *kindColumns) readChanged(ctx context.Context, tx sqlx.QueryerContext, d *decision) error {
	names := ""
	values := make([]sql.RawBytes, len(k.exprs))
	var dest []any
	for i, n := range k.exprs {
		names += ", " + n
		dest = append(dest, &values[i])
	}
	d.deleted = true // unless there is a row
	return eachRow(ctx, tx, "SELECT "+names[2:]+" FROM "+string(k.kind)+" e WHERE e.id = ?", []any{d.to}, func(r scanner) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		d.deleted, d.texts = false, map[int]string{}
		for i, v := range values {
			d.texts[i] = string(v)
		}
		return nil
	})
}

// change applies decisions to the view.
func (v *view) change(decisions []decision) {
	if len(decisions) == 0 {
		return
	}
	changes, first := make([][]segment.Change, len(v.segments)), make([]int64, len(v.segments))
	for _, d := range decisions {
		for i, p := range v.segments {
			if p.lo >= d.seq || p.decided >= d.seq || p.Len() == 0 || p.MinID() > d.to || p.MaxID() < d.from {
				continue
			}
			for row := p.Search(d.from); row < p.Len() && p.ID(row) <= d.to; row++ {
				if p.Seq(row) > d.seq || !p.Alive(row) {
					continue
				}
				if changes[i] == nil {
					first[i] = d.seq
				}
				if d.deleted {
					changes[i] = append(changes[i], segment.Change{Row: row, Deleted: true})
				}
				for column, text := range d.texts {
					changes[i] = append(changes[i], segment.Change{Row: row, Column: column, Text: text, Erase: d.redacted})
				}
			}
		}
	}
	v.segments = slices.Clone(v.segments)
	for i, some := range changes {
		if len(some) == 0 {
			continue
		}
		p := *v.segments[i]
		v.count -= p.Count()
		p.Segment = p.With(some)
		if p.pending == 0 {
			p.since = first[i]
		}
		p.pending += len(some)
		for _, ch := range some {
			p.erase = p.erase || ch.Deleted || ch.Erase
		}
		v.count += p.Count()
		v.segments[i] = &p
	}
}

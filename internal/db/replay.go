package db

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// catchUp is the second step of a copy: it goes over what the source has recorded
// since the copy was begun, until it has reached its end, and compares both sides
// at that moment.
func (c *copier) catchUp(copied *Copied) error {
	for {
		done, err := c.slice(copied)
		if done || err != nil {
			return err
		}
		c.progress("catching up", c.mark.UpTo-c.mark.Head, copied.Entries-c.mark.Head)
	}
}

// slice goes over the next entries, in one moment of the source. It reports
// whether they were the last ones and all was compared.
func (c *copier) slice(copied *Copied) (done bool, err error) {
	tx, end, err := begin(c.ctx, c.from.back)
	if err != nil {
		return false, c.from.dialect.classify(err)
	}
	defer end()
	if err := tx.GetContext(c.ctx, &copied.Entries, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
		return false, c.from.dialect.classify(err)
	}
	if copied.Entries < c.mark.UpTo {
		return false, fmt.Errorf("the source ends with entry %d of its ledger and had %d: it went back to an earlier state; %s and begin anew", copied.Entries, c.mark.UpTo, c.removal())
	}
	next := c.mark
	next.UpTo = min(c.mark.UpTo+int64(c.rowsAtOnce), copied.Entries)
	entries := tableNamed("ledger")
	args, err := entries.read(c.ctx, tx, "SELECT "+strings.Join(entries.columns, ", ")+" FROM ledger WHERE seq > ? AND seq <= ? ORDER BY seq", []any{c.mark.UpTo, next.UpTo}, false)
	if err != nil {
		return false, fmt.Errorf("read the ledger of %s: %w", c.from.path, c.from.dialect.classify(err))
	}
	if err := c.fits(entries, rowPage{args: args}); err != nil {
		return false, err
	}
	if err := c.roomFor(args, entries); err != nil {
		return false, err
	}
	last := next.UpTo == copied.Entries
	err = c.write("go on with the copy", next, func(dst *writeTx) error {
		r := &replay{copier: c, src: tx, dst: dst, entries: entries, created: map[audit.Kind][]int64{}, indexed: map[audit.Kind]int64{}}
		for row := range slices.Chunk(args, len(entries.columns)) {
			if err := r.entry(row); err != nil {
				return fmt.Errorf("entry %v of the ledger: %w", row[entries.at("seq")], err)
			}
		}
		if err := r.flush(); err != nil || !last {
			return err
		}
		return r.loose()
	})
	if err != nil || !last {
		return false, err
	}
	return true, c.compare(tx, copied)
}

// roomFor makes the parts of tables for the events of some entries.
func (c *copier) roomFor(args []any, entries *wholeTable) error {
	ids := map[audit.Kind][]int64{}
	for row := range slices.Chunk(args, len(entries.columns)) {
		kind, _ := row[entries.at("kind")].(string)
		id, _ := row[entries.at("id")].(int64)
		if row[entries.at("entry")] == string(evidence.Created) {
			ids[audit.Kind(kind)] = append(ids[audit.Kind(kind)], id)
		}
	}
	for _, kind := range audit.Kinds() {
		c.to.dialect.makeRoomFor(c.ctx, c.to.side, kind, ids[kind])
	}
	return c.ctx.Err()
}

// replay does to the copy, in one transaction, what entries of the ledger say was
// done to the source. A row is always taken as the source has it at the one moment
// of src, which may be later than the entry: then a later entry says the same once
// more. So it does not matter how much of it the copy knew before.
type replay struct {
	*copier
	src     *sqlx.Tx
	dst     *writeTx
	entries *wholeTable
	ledger  []any                  // entries that are not written yet
	created map[audit.Kind][]int64 // events that are not written yet
	indexed map[audit.Kind]int64   // how far the copy's text index goes
}

func (r *replay) entry(row []any) error {
	r.ledger = append(r.ledger, row...)
	what, _ := row[r.entries.at("entry")].(string)
	name, _ := row[r.entries.at("kind")].(string)
	id, _ := row[r.entries.at("id")].(int64)
	seq, _ := row[r.entries.at("seq")].(int64)
	kind, known := audit.ParseKind(name)
	if !known {
		return nil // of holds, lives of the database and the like: see loose
	}
	switch evidence.Entry(what) {
	case evidence.Created:
		if r.created[kind] = append(r.created[kind], id); len(r.created[kind]) >= readRows {
			return r.flushEvents(kind)
		}
	case evidence.Resolved, evidence.Reopened, evidence.Downloaded:
		return r.state(kind, id)
	case evidence.Redacted:
		return r.redacted(kind, id, seq)
	case evidence.Deleted:
		return r.deleted(kind, id)
	case evidence.Purged:
		return r.purged(kind, seq)
	}
	return nil
}

func (r *replay) flush() error {
	for _, kind := range audit.Kinds() {
		if err := r.flushEvents(kind); err != nil {
			return err
		}
	}
	return r.flushLedger()
}

func (r *replay) flushLedger() error {
	if len(r.ledger) == 0 {
		return nil
	}
	r.dst.stand(r.entries, r.ledger[len(r.ledger)-len(r.entries.columns):])
	err := r.dst.insert(r.entries, r.ledger)
	r.ledger = nil
	return err
}

// flushEvents adds the events that were recorded, but for those that are gone again
// and those that the first step had met.
func (r *replay) flushEvents(kind audit.Kind) error {
	ids := r.created[kind]
	r.created[kind] = nil
	if len(ids) == 0 {
		return nil
	}
	var there []int64
	condition, args := r.dst.dialect.among("id", ids)
	err := r.dst.SelectContext(r.dst.ctx, &there, "SELECT id FROM "+string(kind)+" WHERE "+condition, args...)
	if err != nil {
		return err
	}
	ids = slices.DeleteFunc(ids, func(id int64) bool { return slices.Contains(there, id) })
	if len(ids) == 0 {
		return nil
	}
	t := tableNamed(string(kind))
	condition, args = r.from.dialect.among("id", ids)
	args, err = r.read(t, condition, args...)
	if err != nil || len(args) == 0 {
		return err
	}
	return r.dst.insert(t, args)
}

// read reads rows of the source.
func (r *replay) read(t *wholeTable, where string, args ...any) ([]any, error) {
	query := "SELECT " + strings.Join(t.columns, ", ") + " FROM " + t.name
	if where != "" {
		query += " WHERE " + where
	}
	values, err := t.read(r.ctx, r.src, query, args, false)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", t.name, r.from.path, r.from.dialect.classify(err))
	}
	return values, r.fits(t, rowPage{args: values})
}

// has reports whether the copy has a row.
func (r *replay) has(t *wholeTable, where string, args ...any) (bool, error) {
	var n int
	err := r.dst.GetContext(r.dst.ctx, &n, "SELECT count(*) FROM "+t.name+" WHERE "+where, args...)
	return n > 0, err
}

// state takes over the fields of an event that may change.
func (r *replay) state(kind audit.Kind, id int64) error {
	t := tableNamed(string(kind))
	var fields []string
	for _, f := range tables[kind].fields {
		if f.Mutable {
			fields = append(fields, f.Name)
		}
	}
	row, err := r.read(t, "id = ?", id)
	if err != nil || len(row) == 0 || len(fields) == 0 {
		return err // gone again, as a later entry says
	}
	return r.set(t, row, fields, id)
}

// set gives fields of a row the values that it has in the source.
func (r *replay) set(t *wholeTable, row []any, fields []string, id int64) error {
	var args []any
	for _, f := range fields {
		args = append(args, row[t.at(f)])
	}
	_, err := r.dst.ExecContext(r.dst.ctx, "UPDATE "+t.name+" SET "+strings.Join(fields, " = ?, ")+" = ? WHERE id = ?", append(args, id)...)
	return err
}

// redacted takes over what was taken away from an event up to the entry seq.
// Where something more was taken away later, that entry does it: the guards
// of the copy let an event change while its entry is the ledger's last one.
func (r *replay) redacted(kind audit.Kind, id, seq int64) error {
	t := tableNamed("redaction")
	kept, err := r.read(t, "kind = ? AND id = ?", kind, id)
	if err != nil || len(kept) == 0 || kept[t.at("seq")] != seq {
		return err
	}
	if err := r.flushLedger(); err != nil {
		return err
	}
	var known []int64
	if err := r.dst.SelectContext(r.dst.ctx, &known, "SELECT seq FROM redaction WHERE kind = ? AND id = ?", kind, id); err != nil {
		return err
	}
	switch {
	case len(known) == 0:
		err = r.dst.insert(t, kept)
	case known[0] < seq:
		_, err = r.dst.ExecContext(r.dst.ctx, "UPDATE redaction SET seq = ?, kept = ? WHERE kind = ? AND id = ?", seq, kept[t.at("kept")], kind, id)
	}
	if err != nil {
		return err
	}
	events := tableNamed(string(kind))
	row, err := r.read(events, "id = ?", id)
	if err != nil || len(row) == 0 {
		return err
	}
	if err := r.stale(kind, row[events.at("seq")], r.dst.staleText); err != nil {
		return err
	}
	return r.set(events, row, slices.DeleteFunc(slices.Clone(events.columns), func(c string) bool { return c == "id" }), id)
}

// deleted takes an event away, over its tombstone.
func (r *replay) deleted(kind audit.Kind, id int64) error {
	t := tableNamed("tombstone")
	row, err := r.read(t, "kind = ? AND id = ?", kind, id)
	if err != nil || len(row) == 0 {
		return err
	}
	known, err := r.has(t, "kind = ? AND id = ?", kind, id)
	if err == nil && !known {
		err = r.dst.insert(t, row)
	}
	if err != nil {
		return err
	}
	if err := r.stale(kind, row[t.at("seq")], r.dst.goneText); err != nil {
		return err
	}
	_, err = r.dst.ExecContext(r.dst.ctx, "DELETE FROM "+string(kind)+" WHERE id = ?", id)
	if err == nil {
		_, err = r.dst.ExecContext(r.dst.ctx, "DELETE FROM redaction WHERE kind = ? AND id = ?", kind, id)
	}
	return err
}

// purged takes a run of events away. Those that were recorded later stay.
func (r *replay) purged(kind audit.Kind, seq int64) error {
	t := tableNamed("purge")
	row, err := r.read(t, "seq = ?", seq)
	if err != nil || len(row) == 0 {
		return err
	}
	known, err := r.has(t, "seq = ?", seq)
	if err == nil && !known {
		err = r.dst.insert(t, row)
	}
	if err != nil {
		return err
	}
	from, to := row[t.at("from_id")], row[t.at("to_id")]
	var gone []int64
	indexed, err := r.reached(kind)
	if err == nil && indexed > 0 {
		err = r.dst.SelectContext(r.dst.ctx, &gone, "SELECT seq FROM "+string(kind)+" WHERE id BETWEEN ? AND ? AND seq < ? AND seq <= ? ORDER BY seq", from, to, seq, indexed)
	}
	for i := 0; i < len(gone) && err == nil; {
		first := i
		for i++; i < len(gone) && gone[i] == gone[i-1]+1; i++ {
		}
		err = r.dst.goneText(kind, gone[first], gone[i-1])
	}
	if err != nil {
		return err
	}
	if _, err := r.dst.ExecContext(r.dst.ctx, "DELETE FROM "+string(kind)+" WHERE id BETWEEN ? AND ? AND seq < ?", from, to, seq); err != nil {
		return err
	}
	_, err = r.dst.ExecContext(r.dst.ctx, "DELETE FROM redaction WHERE kind = ? AND id BETWEEN ? AND ? AND NOT EXISTS (SELECT 1 FROM "+string(kind)+
		" e WHERE e.id = redaction.id)", kind, from, to)
	return err
}

// reached is how far the text index of the copy goes: a copy that is gone on with
// after it was finished has one.
func (r *replay) reached(kind audit.Kind) (int64, error) {
	if mark, known := r.indexed[kind]; known {
		return mark, nil
	}
	mark, err := searchMark(r.dst.ctx, r.dst, kind)
	r.indexed[kind] = mark
	return mark, err
}

// stale has the text of an event taken out of the index of the copy, if it is there.
func (r *replay) stale(kind audit.Kind, seq any, mark func(kind audit.Kind, first, last int64) error) error {
	reached, err := r.reached(kind)
	n, _ := seq.(int64)
	if err != nil || n > reached {
		return err
	}
	return mark(kind, n, n)
}

// loose takes over what no entry of the ledger tells of. Holds and the lives of the
// database have entries, but are few: they are compared one by one, since their
// guards let none of them go.
func (r *replay) loose() error {
	for _, t := range slices.Backward(loose) {
		query := "DELETE FROM " + t.name
		if t.where != "" {
			query += " WHERE " + t.where
		}
		if _, err := r.dst.ExecContext(r.dst.ctx, query); err != nil {
			return err
		}
	}
	for _, t := range loose {
		args, err := r.read(t, t.where)
		if err == nil && len(args) > 0 {
			err = r.dst.insert(t, args)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(r.add("incarnation", "seq"), r.add("hold", "id", "released_at", "released_by", "release_reason"))
}

// add adds the rows of a small table that the copy does not have, and sets the
// fields of the others that may change.
func (r *replay) add(table, key string, fields ...string) error {
	t := tableNamed(table)
	rows, err := r.read(t, "")
	if err != nil {
		return err
	}
	for row := range slices.Chunk(rows, len(t.columns)) {
		id, _ := row[t.at(key)].(int64)
		known, err := r.has(t, key+" = ?", id)
		switch {
		case err != nil:
		case !known:
			err = r.dst.insert(t, row)
		case len(fields) > 0:
			err = r.set(t, row, fields, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

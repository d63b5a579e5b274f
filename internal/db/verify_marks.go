package db

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// mark is a checkpoint to compare the tree with.
type mark struct {
	evidence.Checkpoint
	where string // which checkpoint it is, in a sentence
	table string // "checkpoint" for one that the database keeps
}

// checkpoints reads the checkpoints that the database keeps and those that were
// saved elsewhere, in the order of their size.
func (v *verification) checkpoints() ([]mark, error) {
	lives, err := incarnations(v.ctx, v.store.worker())
	if err != nil {
		return nil, err
	}
	for _, l := range lives {
		if l.Seq > 0 {
			v.verdict.Restored = append(v.verdict.Restored, l)
		}
	}
	var marks []mark
	err = eachRow(v.ctx, v.store.worker(), "SELECT size, note, root, created_at FROM checkpoint ORDER BY size", nil, func(row scanner) error {
		var size int64
		var text, at string
		var root []byte
		if err := row.Scan(&size, &text, &root, &at); err != nil {
			return err
		}
		m := mark{where: fmt.Sprintf("checkpoint %d", size), table: "checkpoint"}
		if !v.openMark(&m, lives, text, size) {
			return nil
		}
		made, _ := audit.ParseTime(at)
		if m.Size != size || !bytes.Equal(m.Root[:], root) || !made.Equal(m.At) {
			v.problem(Problem{Trouble: Altered, Table: "checkpoint", ID: size, Detail: "its columns are not what its note states"})
		}
		marks = append(marks, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, text := range v.options.Saved {
		if m := (mark{where: "the saved checkpoint", table: "ledger"}); v.openMark(&m, lives, text, 0) {
			marks = append(marks, m)
		}
	}
	sort.SliceStable(marks, func(i, j int) bool { return marks[i].Size < marks[j].Size })
	return v.reached(marks)
}

// openMark reads a checkpoint into a mark, and reports whether the tree is to be compared
// with it; if not, it has noted why. id is by what a checkpoint that cannot be read is
// called. lives are those of the database.
func (v *verification) openMark(m *mark, lives []Incarnation, text string, id int64) bool {
	c, signed, err := evidence.OpenCheckpoint(text, v.options.PublicKeys)
	if err != nil {
		v.problem(Problem{Trouble: Altered, Table: m.table, ID: id, Detail: err.Error()})
		return false
	}
	if m.Checkpoint = *c; len(signed) > 0 {
		v.verdict.Signed++
	} else if v.verdict.KeysGiven {
		v.problem(Problem{Trouble: Unsigned, Table: m.table, ID: c.Size, Detail: m.where + " carries no signature of a key of this database"})
		return false
	}
	life := slices.IndexFunc(lives, func(l Incarnation) bool { return l.Name == c.Incarnation })
	switch {
	case life < 0:
		v.problem(Problem{Trouble: Rewritten, Table: m.table, ID: c.Size, Detail: fmt.Sprintf("%s was made by %s, which is none of this database's lives", m.where, c.Origin())})
		return false
	case life+1 < len(lives) && c.Size >= lives[life+1].Seq:
		next := lives[life+1]
		v.problem(Problem{Trouble: Rolled, Table: m.table, ID: c.Size, Seq: next.Seq,
			Detail: fmt.Sprintf("%s states %d entries; the database goes on from entry %d since %s (%s): entries %d to %d of then are not in it",
				m.where, c.Size, next.Seq-1, next.StartedAt, next.Reason, next.Seq, c.Size)})
		return false
	}
	return true
}

// reached leaves out the marks, in the order of their size, behind the head. What was
// appended since the head was read is none of ours, and no checkpoint of it is either.
func (v *verification) reached(marks []mark) ([]mark, error) {
	for len(marks) > 0 && marks[len(marks)-1].Size > v.head {
		m := marks[len(marks)-1]
		marks = marks[:len(marks)-1]
		var now int64
		if err := v.store.worker().GetContext(v.ctx, &now, "SELECT coalesce(max(seq), 0) FROM ledger"); err != nil {
			return nil, err
		}
		if m.Size > now {
			v.problem(Problem{Trouble: Truncated, Table: "ledger", Seq: now + 1,
				Detail: fmt.Sprintf("%s of %s states %d entries, and there are %d: entries %d to %d are gone", m.where, m.At.UTC().Format(time.RFC3339), m.Size, now, now+1, m.Size)})
		}
	}
	return marks, nil
}

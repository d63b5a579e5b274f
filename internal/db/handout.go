package db

import (
	"context"
	"fmt"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// HandOut notes that evidence is handed out: by an entry in the ledger and an audit log.
// what says of which events. None of it may leave before HandOut has returned nil.
func (s *Store) HandOut(ctx context.Context, by Actor, kind audit.Kind, what string) error {
	what = stored(what)
	return s.write(ctx, "note that evidence is handed out", func(tx *writeTx) error {
		if err := tx.decide(evidence.Exported, "", 0, by.Name, what, evidence.Hash{}); err != nil {
			return err
		}
		return tx.record(by.deed("EXPORT", object{Self + "." + string(kind), "", what}, nil))
	})
}

// Place is where an event stands in the ledger.
type Place struct {
	Leaf string // what its entry commits to, in hexadecimal
	Size int64  // how many entries the ledger has
}

// PlaceOf returns the place of an event in the ledger, as the database has it that is
// written, not a replica of it.
func (s *Store) PlaceOf(ctx context.Context, st *Stored) (Place, error) {
	var p Place
	var leaf []byte
	err := s.primary().QueryRowxContext(ctx, "SELECT leaf, (SELECT max(seq) FROM ledger) FROM ledger WHERE seq = ?", st.Seq).Scan(&leaf, &p.Size)
	if err != nil {
		return p, fmt.Errorf("read entry %d of the ledger: %w", st.Seq, s.dialect.classify(err))
	}
	p.Leaf = fmt.Sprintf("%x", leaf)
	return p, nil
}

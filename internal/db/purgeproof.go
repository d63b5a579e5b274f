package db

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// PurgePart are the events that are about to be purged together.
type PurgePart struct {
	Events []*Stored // in the order of their ids
	// Proof shows that they stand in the ledger. It is nil where the database has no
	// key to sign with: see ErrNoKeys.
	Proof      *evidence.SetProof
	PublicKeys []string // that its checkpoint can be checked with
}

// StatedFields are the names of the fields that the leaf of an event of a kind
// commits to, in their order.
func StatedFields(kind audit.Kind) []string { return tables[kind].form.Fields() }

// readSalts adds to the rows of a purge what their leaves were salted with, which
// goes with them.
func (s *Store) readSalts(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, rows []*purgeRow) error {
	if len(rows) == 0 {
		return nil
	}
	first, last, at := rows[0].id, rows[len(rows)-1].id, 0
	row := func(id int64) *purgeRow { // rising from call to call
		for at < len(rows) && rows[at].id < id {
			at++
		}
		if at < len(rows) && rows[at].id == id {
			return rows[at]
		}
		return nil // another one, which stays
	}
	err := eachRow(ctx, tx, "SELECT e.id, e.seed FROM "+string(kind)+" e WHERE e.id >= ? AND e.id <= ? ORDER BY e.id", []any{first, last}, func(r scanner) error {
		var id int64
		var seed []byte
		err := r.Scan(&id, &seed)
		if row := row(id); row != nil {
			row.seed = seed
		}
		return err
	})
	if err != nil {
		return err
	}
	at = 0
	return eachRow(ctx, tx, "SELECT id, kept FROM redaction WHERE kind = ? AND id >= ? AND id <= ? ORDER BY id", []any{kind, first, last}, func(r scanner) error {
		var id int64
		var kept []byte
		err := r.Scan(&id, &kept)
		if row := row(id); row != nil {
			row.kept = kept
		}
		return err
	})
}

// readContents gives those of the rows that have no name the one that import
// would give them, save the number of the repetition.
func (s *Store) readContents(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, rows []*purgeRow) error {
	var nameless []*purgeRow
	for _, row := range rows {
		switch {
		case row.named:
		case row.stored != nil:
			row.setName(ContentOf(AppendContent(nil, row.stored.Event)).name())
		default:
			nameless = append(nameless, row)
		}
	}
	for len(nameless) > 0 {
		part := nameless[:min(len(nameless), joinedRows)]
		nameless = nameless[len(part):]
		all, err := s.nameJoined(ctx, tx, kind, part)
		if err == nil && !all {
			err = nameEach(ctx, tx, kind, part)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nameEach names rows, which are in the order of their ids, by what they hold.
func nameEach(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, rows []*purgeRow) error {
	t, n := tables[kind], 0
	return eachRow(ctx, tx, "SELECT "+t.columns+" FROM "+string(kind)+" e WHERE "+betweenNameless+" ORDER BY e.id", []any{rows[0].id, rows[len(rows)-1].id}, func(r scanner) error {
		st, err := t.scan(r)
		if err != nil {
			return err
		}
		for n < len(rows) && rows[n].id < st.ID {
			n++ // it has a name by now
		}
		if n < len(rows) && rows[n].id == st.ID {
			rows[n].setName(ContentOf(AppendContent(nil, st.Event)).name())
		}
		return nil
	})
}

const betweenNameless = "e.id BETWEEN ? AND ? AND e.event_id IS NULL"

// nameJoined is nameEach for rows that the engine joins into one text, which takes a
// third of the time. It reports whether that was all of them.
func (s *Store) nameJoined(ctx context.Context, tx *sqlx.Tx, kind audit.Kind, rows []*purgeRow) (all bool, err error) {
	t, n := tables[kind], len(rows)-1
	text, ok, err := s.readInOne(ctx, tx, kind, t.names, betweenNameless, []any{rows[0].id, rows[n].id})
	if err != nil || !ok || text.rows == joinedMost { // then there are more between them than fit
		return false, err
	}
	st := &Stored{Event: audit.NewEvent(kind)}
	var content []byte
	for text.text != "" {
		var long bool
		if st.ID, long, ok = text.next(); !ok || long {
			return false, nil
		}
		if text.text, err = t.parse(text.text, st); err != nil {
			return false, nil
		}
		for n >= 0 && rows[n].id > st.ID {
			n--
		}
		if n >= 0 && rows[n].id == st.ID {
			content = AppendContent(content[:0], st.Event)
			rows[n].setName(ContentOf(content).name())
		}
	}
	return true, nil
}

func (r *purgeRow) setName(eventID string) {
	r.named, r.name = true, purgedName(r.timestamp, eventID)
}

// purgeProver proves the slices of one purge.
type purgeProver struct {
	store *Store
	keys  []string // nil where there are none: then nothing is proven
	last  *SignedCheckpoint
}

// prover returns what proves the slices of a purge.
func (s *Store) prover(ctx context.Context) (*purgeProver, error) {
	p := &purgeProver{store: s}
	c, err := s.Checkpoint(ctx)
	if errors.Is(err, ErrNoKeys) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	p.last = c
	p.keys, err = s.PublicKeys()
	return p, err
}

// part returns the events of a slice for the archive, with their proof.
func (p *purgeProver) part(ctx context.Context, kind audit.Kind, rows []*purgeRow) (PurgePart, error) {
	part := PurgePart{Events: make([]*Stored, len(rows)), PublicKeys: p.keys}
	for i, row := range rows {
		part.Events[i] = row.stored
	}
	if p.last == nil || len(rows) == 0 {
		return part, nil
	}
	most := int64(0)
	for _, row := range rows {
		most = max(most, row.seq)
	}
	if most > p.last.Size { // recorded since, of long ago
		c, err := p.store.Checkpoint(ctx)
		if err != nil {
			return part, err
		}
		p.last = c
	}
	proof := &evidence.SetProof{Events: len(rows), Seeds: make([]byte, 0, len(rows)*evidence.SeedSize), Checkpoint: p.last.Note}
	for i, row := range rows {
		seed, kept, proven := row.salts(kind)
		proof.Seeds = append(proof.Seeds, seed[:]...)
		switch {
		case !proven && proof.Unproven == nil:
			proof.Unproven = map[int]evidence.Hash{i: row.leaf}
		case !proven:
			proof.Unproven[i] = row.leaf
		case kept != nil && proof.Kept == nil:
			proof.Kept = map[int]evidence.Kept{i: kept}
		case kept != nil:
			proof.Kept[i] = kept
		}
	}
	between, err := p.store.between(ctx, p.last.Size, rows)
	if err != nil {
		return part, err
	}
	for _, h := range between {
		proof.Between = append(proof.Between, h[:]...)
	}
	part.Proof = proof
	return part, nil
}

// salts returns what the leaf of a row is made with, and whether it comes to the
// leaf that the ledger has.
func (r *purgeRow) salts(kind audit.Kind) (seed evidence.Seed, kept evidence.Kept, proven bool) {
	t, st := tables[kind], r.stored
	if len(st.Damaged) > 0 {
		return seed, nil, false
	}
	var c evidence.Committed
	values := t.statedValues(st.Event)
	seed, _, whole := t.form.ParseSeed(r.seed)
	switch {
	case whole:
		c = evidence.Commit(t.form, seed, st.Source, st.EventID, values)
	case evidence.Kept(r.kept).Valid(t.form):
		kept = r.kept
		c = evidence.CommitKept(t.form, kept, st.Source, st.EventID, values)
	default:
		return evidence.Seed{}, nil, false
	}
	if c.Leaf(st.ID, st.Seq, audit.FormatTime(st.RecordedAt)) != r.leaf {
		return evidence.Seed{}, nil, false
	}
	return seed, kept, true
}

// between returns what stands between the rows in the tree over so many entries.
func (s *Store) between(ctx context.Context, size int64, rows []*purgeRow) ([]evidence.Hash, error) {
	tx, end, err := begin(ctx, s.worker())
	if err != nil {
		return nil, err
	}
	defer end()
	numbers := make([]int64, len(rows))
	for i, row := range rows {
		numbers[i] = row.seq - 1
	}
	slices.Sort(numbers)
	tree := newTreeReader(ctx, tx)
	tree.size = size
	hashes, err := evidence.Between(size, numbers, tree.span)
	if err != nil {
		return nil, fmt.Errorf("prove %d events: %w", len(rows), err)
	}
	return hashes, nil
}

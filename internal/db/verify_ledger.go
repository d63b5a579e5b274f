package db

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"sort"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// ledger walks over the entries: none is missing, each decision is what its leaf
// says, and the tree over the leaves is what the tiles and checkpoints state.
func (v *verification) ledger(marks []mark) error {
	w := &ledgerWalk{verification: v, tree: &evidence.Frontier{}, marks: marks, next: v.after + 1, whole: true}
	if v.after > 0 {
		tx, end, err := begin(v.ctx, v.store.worker())
		if err != nil {
			return err
		}
		w.tree, err = newTreeReader(v.ctx, tx).frontier(v.after)
		end()
		if err != nil {
			return err
		}
	}
	w.compare()
	began := time.Now()
	var to int64
	for from := v.after; from < v.head; from = to {
		if err := v.pause(began); err != nil {
			return err
		}
		began = time.Now()
		to = min(from-from%tileWidth+tileWidth, v.head)
		if err := w.stretch(from, to); err != nil {
			return err
		}
	}
	if w.next <= v.head {
		w.missing(v.head)
	}
	if w.whole {
		v.verdict.Root = w.tree.Root()
	}
	return nil
}

// ledgerWalk is how far a walk over the ledger has come.
type ledgerWalk struct {
	*verification
	next   int64 // the entry that has to come now
	whole  bool  // no entry was missing so far: else there is no tree to compare
	tree   *evidence.Frontier
	block  []evidence.Hash // leaves that are not in the tree yet
	marks  []mark          // not reached yet
	agreed int64           // the size at which the tree was last what a mark states
}

// stretch walks over the entries after from up to to, at most a tile of them: by their
// leaves alone where they are all there, else one by one.
func (w *ledgerWalk) stretch(from, to int64) error {
	leaves, created, err := w.leaves(from, to)
	if err != nil {
		return err
	}
	reader := w.store.dialect.ledgerReader()
	if leaves == nil || w.next != from+1 || !w.whole {
		return w.entries(reader.entries, from, to, w.entry)
	}
	for ; w.next <= to; w.next++ {
		w.created[w.bucket(w.next)]++
		if err := w.grow(w.next, leaves[(w.next-from-1)*tlog.HashSize:(w.next-from)*tlog.HashSize]); err != nil {
			return err
		}
	}
	if created == to-from {
		return nil
	}
	return w.entries(reader.decisions, from, to, func(e *entryRow) error {
		w.created[w.bucket(e.seq)]--
		w.judge(e)
		return nil
	})
}

// entry takes the next entry that is there.
func (w *ledgerWalk) entry(e *entryRow) error {
	if e.seq < w.next {
		return nil // read a second time, since what follows it could not be read
	}
	if e.seq != w.next {
		w.missing(e.seq - 1)
	}
	w.next = e.seq + 1
	if len(e.leaf) != tlog.HashSize || !e.sound {
		w.whole = false
		w.problem(Problem{Trouble: Altered, Table: "ledger", Seq: e.seq, Detail: "it has no leaf, or a value that it should not have"})
		return nil
	}
	if e.created {
		w.created[w.bucket(e.seq)]++
	} else {
		w.judge(e)
	}
	if !w.whole {
		return nil
	}
	return w.grow(e.seq, e.leaf)
}

// missing notes that the entries from next up to one are not there.
func (w *ledgerWalk) missing(upTo int64) {
	w.whole = false
	w.problem(Problem{Trouble: Missing, Table: "ledger", Seq: w.next, Detail: fmt.Sprintf("entries %d to %d are not there", w.next, upTo)})
}

// judge says what is wrong with a decision itself.
func (w *ledgerWalk) judge(e *entryRow) {
	p := Problem{Trouble: Altered, Table: "ledger", Seq: e.seq}
	if !evidence.Entry(e.entry).Valid() {
		p.Fields, p.Detail = []string{"entry"}, "there is no such entry"
		w.problem(p)
	} else if d := e.decision(); d.Leaf() != evidence.Hash(e.leaf) || len(e.subject) != 0 && len(e.subject) != tlog.HashSize {
		p.Detail = "the entry '" + string(e.entry) + "' is not what its leaf says"
		w.problem(p)
	}
}

// grow adds a leaf, and compares where a tile is full, a mark stands or the ledger ends.
func (w *ledgerWalk) grow(seq int64, leaf []byte) error {
	w.block = append(w.block, evidence.Hash(leaf))
	size := w.tree.Size() + int64(len(w.block))
	if size%tileWidth != 0 && (len(w.marks) == 0 || w.marks[0].Size != size) && seq != w.head {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.compare()
	return nil
}

// flush puts the block into the tree, as one full tile where it is one.
func (w *ledgerWalk) flush() error {
	defer func() { w.block = w.block[:0] }()
	if len(w.block) == tileWidth && w.tree.Size()%tileWidth == 0 {
		n := w.tree.Size() / tileWidth
		root := evidence.Subtree(w.block)
		w.tree.AddSubtree(evidence.TileHeight, root)
		return w.tile(n, root)
	}
	for _, leaf := range w.block {
		w.tree.Add(leaf)
	}
	return nil
}

// compare compares the tree with the marks at its size.
func (w *ledgerWalk) compare() {
	for ; len(w.marks) > 0 && w.marks[0].Size <= w.tree.Size(); w.marks = w.marks[1:] {
		m := w.marks[0]
		if m.Size < w.tree.Size() {
			continue
		}
		w.verdict.Checkpoints++
		if w.tree.Root() != m.Root {
			w.problem(Problem{Trouble: Rewritten, Table: "ledger", Seq: w.agreed + 1,
				Detail: fmt.Sprintf("%s of %s states another root: one of the entries %d to %d is not the one of then", m.where, m.At.UTC().Format(time.RFC3339), w.agreed+1, m.Size)})
		}
		w.agreed = m.Size
	}
}

// below looks for entries before the first one. They are in no tree, so that no
// checkpoint speaks of them, and whatever they vouched for would be forged.
func (v *verification) below() error {
	return eachRow(v.ctx, v.store.worker(), "SELECT seq, entry FROM ledger WHERE seq < 1 ORDER BY seq", nil, func(row scanner) error {
		p := Problem{Trouble: Inserted, Table: "ledger"}
		var entry string
		if err := row.Scan(&p.Seq, &entry); err != nil {
			return err
		}
		p.Detail = fmt.Sprintf("the ledger begins with entry 1, and this one, %q, is number %d", shortText(entry), p.Seq)
		v.problem(p)
		return nil
	})
}

// entryRow is an entry of the ledger. What it says is read of decisions alone: of
// an event that was recorded it is compared with the event, or with what stays of
// it.
type entryRow struct {
	seq, id                                       int64
	leaf                                          sql.RawBytes
	created, sound                                bool
	entry, kind, recordedAt, actor, note, subject sql.RawBytes
}

func (e *entryRow) decision() *evidence.Decision {
	d := &evidence.Decision{Entry: evidence.Entry(e.entry), Kind: string(e.kind), ID: e.id, Seq: e.seq, RecordedAt: string(e.recordedAt), Actor: string(e.actor), Note: string(e.note)}
	copy(d.Subject[:], e.subject)
	return d
}

// goneColumns are those of ledgerReader.gone, of entries called l.
const goneColumns = `
	SELECT l.seq, l.kind, CAST(l.id AS BIGINT), l.recorded_at, l.leaf, t.seq IS NOT NULL,
		(SELECT max(seq) FROM purge p WHERE p.kind = l.kind AND p.to_id >= l.id AND p.from_id <= l.id AND p.seq > ?) IS NOT NULL`

// ledgerReader is how the ledger is read to be verified, with two parameters: after
// which entry, and up to which.
type ledgerReader struct {
	// entries selects what entryRow holds, in the order of seq, and decisions those
	// that are no recording of an event. Nobody decides that an event was recorded:
	// then actor, note and subject are NULL.
	entries, decisions string
	// leaves selects how many entries have a leaf, how many of them are sound, how
	// many record an event, and all leaves in one value, in the order of seq.
	leaves string
	// gone selects, of the entries after one and up to another that record an event
	// which is not there, in the order of seq, the seq, kind, id, recorded_at and leaf,
	// whether it has a tombstone, and whether a purge after a third entry covers it.
	gone string
}

// leaves returns the leaves of the entries after from up to to, of which created
// record an event, and nil if one of them is missing or not as it should be.
func (v *verification) leaves(from, to int64) (leaves []byte, created int64, err error) {
	var n, sound int64
	err = v.store.worker().QueryRowxContext(v.ctx, v.store.dialect.ledgerReader().leaves, from, to).
		Scan(&n, &sound, &created, &leaves)
	if errors.Is(v.store.dialect.classify(err), ErrDamaged) || err == nil && (n != to-from || sound != n) {
		return nil, 0, nil
	}
	return leaves, created, err
}

// entries reads entries of the ledger after from up to to with a query. Where the file is
// damaged it goes on in ever smaller parts; fn may then see an entry twice.
func (v *verification) entries(query string, from, to int64, fn func(*entryRow) error) error {
	var e entryRow
	dest := []any{&e.seq, &e.leaf, &e.created, &e.sound, &e.id, &e.entry, &e.kind, &e.recordedAt, &e.actor, &e.note, &e.subject}
	err := eachRow(v.ctx, v.store.worker(), query, []any{from, to}, func(row scanner) error {
		if err := row.Scan(dest...); err != nil {
			return err
		}
		return fn(&e)
	})
	if !errors.Is(v.store.dialect.classify(err), ErrDamaged) {
		return err
	}
	if to-from > 1 {
		half := from + (to-from)/2
		return errors.Join(v.entries(query, from, half, fn), v.entries(query, half, to, fn))
	}
	v.problem(Problem{Trouble: Damaged, Table: "ledger", Seq: to, Detail: "it cannot be read: " + err.Error()})
	return nil
}

// tile compares a hash of the stored tiles' lowest level with the ledger. The
// tiles are derived: one that is wrong harms no event, but every proof over it.
func (v *verification) tile(n int64, root evidence.Hash) error {
	var stored []byte
	err := v.store.worker().GetContext(v.ctx, &stored, "SELECT substr(hashes, ?, 32) FROM tile WHERE level = 1 AND n = ?", n%tileWidth*tlog.HashSize+1, n/tileWidth)
	if err == sql.ErrNoRows || len(stored) == 0 {
		return nil // not made yet
	}
	if err == nil && !bytes.Equal(stored, root[:]) {
		v.problem(Problem{Trouble: Altered, Table: "tile", ID: n / tileWidth, Seq: n*tileWidth + 1, Detail: "a hash of level 1 is not that of its entries; it is derived, and can be made again by emptying the table"})
	}
	return err
}

// gone looks for the events of the entries whose events are not all there. Each
// has to have a tombstone, or to be covered by a purge.
func (v *verification) gone() error {
	purges, err := v.purges()
	if err != nil {
		return err
	}
	for b := range v.created {
		if v.created[b] == v.seen[b].Load() {
			continue
		}
		missing := map[int64]bool{}
		err := v.eachGone(b, func(e *goneEntry) {
			if e.buried {
				v.verdict.Gone++
				return
			}
			hash, ok := parseRoot(e.leaf)
			switch p := purges[audit.Kind(e.kind)].find(e.id, e.seq); {
			case p != nil && ok:
				p.tree.Add(evidence.Gone(e.kind, e.id, e.seq, e.recordedAt, &hash))
				v.verdict.Gone++
			case e.purgedSince:
				v.verdict.Gone++
			default:
				missing[e.seq] = true
			}
		})
		if err != nil {
			return err
		}
		if len(missing) == 0 {
			continue
		}
		// A cluster may have shown that an event is gone before it showed its tombstone:
		// by now it shows that as well.
		err = v.eachGone(b, func(e *goneEntry) {
			switch {
			case !missing[e.seq]:
			case e.buried || e.purgedSince:
				v.verdict.Gone++
			default:
				v.problem(Problem{Trouble: Missing, Table: e.kind, ID: e.id, Seq: e.seq, Detail: "it was recorded on " + shortText(e.recordedAt) + ", and neither a tombstone nor a purge says that it was deleted"})
			}
		})
		if err != nil {
			return err
		}
	}
	if v.after > 0 {
		return nil // of older entries nothing was read
	}
	for _, list := range purges {
		for _, p := range list.all {
			if root := p.tree.Root(); p.tree.Size() != p.events || !bytes.Equal(root[:], p.root) {
				v.problem(Problem{Trouble: Altered, Table: "purge", ID: p.seq, Seq: p.seq, Detail: fmt.Sprintf("it names %d events under one root, and what is gone in its range are %d under another", p.events, p.tree.Size())})
			}
		}
	}
	return nil
}

// goneEntry is a row of ledgerReader.gone.
type goneEntry struct {
	seq, id             int64
	kind, recordedAt    string
	leaf                []byte
	buried, purgedSince bool
}

// eachGone calls fn for the entries of a bucket whose events are not there.
func (v *verification) eachGone(bucket int, fn func(*goneEntry)) error {
	from := v.after + int64(bucket)*bucketEntries
	return eachRow(v.ctx, v.store.worker(), v.store.dialect.ledgerReader().gone, []any{from, min(from+bucketEntries, v.head), v.head}, func(row scanner) error {
		var e goneEntry
		if err := row.Scan(&e.seq, &e.kind, &e.id, &e.recordedAt, &e.leaf, &e.buried, &e.purgedSince); err != nil {
			return err
		}
		fn(&e)
		return nil
	})
}

// purged is a row of purge, with the tree over what is gone in its range.
type purged struct {
	seq, from, to, events int64
	root                  []byte
	tree                  evidence.Frontier
}

// purgeList are the purges of a kind by their first id, with the highest last id
// up to each: ranges overlap where events came late or were held for a time.
type purgeList struct {
	all     []*purged
	highest []int64
}

// purges reads the purges that were done before the verification began.
func (v *verification) purges() (map[audit.Kind]*purgeList, error) {
	lists := map[audit.Kind]*purgeList{}
	err := eachRow(v.ctx, v.store.worker(), "SELECT seq, kind, from_id, to_id, events, root FROM purge WHERE seq <= ? ORDER BY kind, from_id", []any{v.head}, func(row scanner) error {
		p := &purged{}
		var kind audit.Kind
		if err := row.Scan(&p.seq, &kind, &p.from, &p.to, &p.events, &p.root); err != nil {
			return err
		}
		list := lists[kind]
		if list == nil {
			list = &purgeList{}
			lists[kind] = list
		}
		highest := p.to
		if n := len(list.highest); n > 0 {
			highest = max(highest, list.highest[n-1])
		}
		list.all, list.highest = append(list.all, p), append(list.highest, highest)
		return nil
	})
	return lists, err
}

// find returns the first purge after an entry that took its event away.
func (l *purgeList) find(id, seq int64) *purged {
	if l == nil {
		return nil
	}
	var first *purged
	for i := sort.Search(len(l.all), func(i int) bool { return l.all[i].from > id }) - 1; i >= 0 && l.highest[i] >= id; i-- {
		if p := l.all[i]; p.to >= id && p.seq > seq && (first == nil || p.seq < first.seq) {
			first = p
		}
	}
	return first
}

// judgeDoubted says what is wrong with rows that are not where the ledger has
// them: their seq or id is another one, or they were never recorded.
func (v *verification) judgeDoubted() error {
	for kind, ids := range v.doubted {
		list := make([]int64, 0, len(ids))
		for id := range ids {
			list = append(list, id)
		}
		places := map[int64]int64{} // id to its seq in the ledger
		condition, among := v.store.dialect.among("id", list)
		err := eachRow(v.ctx, v.store.worker(), "SELECT seq, CAST(id AS BIGINT) FROM ledger WHERE entry = 'created' AND kind = ? AND "+condition, append([]any{kind}, among...), func(row scanner) error {
			var seq, id int64
			err := row.Scan(&seq, &id)
			places[id] = seq
			return err
		})
		if err != nil {
			return err
		}
		for _, id := range list {
			var seq int64
			if err := v.store.worker().GetContext(v.ctx, &seq, "SELECT CAST(seq AS BIGINT) FROM "+string(kind)+" WHERE id = ?", id); err == sql.ErrNoRows {
				continue
			} else if err != nil {
				return err
			}
			p := Problem{Trouble: Inserted, Table: string(kind), ID: id, Seq: seq, Detail: "the ledger has no entry for it"}
			if place, ok := places[id]; ok {
				p.Trouble, p.Fields, p.Detail = Reordered, []string{"seq"}, fmt.Sprintf("its place in the ledger is entry %d, and it says %d", place, seq)
			} else if i := v.missingAt(kind, seq); i >= 0 {
				v.verdict.Problems[i].Detail += fmt.Sprintf("; an event with another id, %d, stands in its place", id)
				p.Trouble, p.Fields, p.Detail = Altered, []string{"id"}, fmt.Sprintf("the ledger knows it as %d", v.verdict.Problems[i].ID)
			}
			v.problem(p)
		}
	}
	return nil
}

func (v *verification) missingAt(kind audit.Kind, seq int64) int {
	for i, p := range v.verdict.Problems {
		if p.Trouble == Missing && p.Table == string(kind) && p.Seq == seq {
			return i
		}
	}
	return -1
}

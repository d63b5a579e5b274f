package db

import (
	"cmp"
	"crypto/sha256"
	"database/sql"
	"slices"
	"strconv"
	"sync"

	"github.com/auditadmin/auditadmin/audit"
)

// kindTail is what an append needs to know of one kind: where it ends, and how
// far the events of one microsecond have ever run over into the following ones.
type kindTail struct {
	kind   audit.Kind
	last   int64 // the highest id, of what is gone too
	graves bool  // there are tombstones
	tailFacts
	purges    []purgedRun
	newSpread bool
	runs      map[int64]*idRun
	taken     map[int64]struct{} // ids given in this transaction
}

func (tx *writeTx) tail(kind audit.Kind) (*kindTail, error) {
	if t := tx.kinds[kind]; t != nil {
		return t, nil
	}
	t := &kindTail{kind: kind, runs: map[int64]*idRun{}, taken: map[int64]struct{}{}}
	if facts, known := tx.store.tails.at(tx, kind); known && tx.adds {
		t.tailFacts = facts
	} else if err := tx.readFacts(t); err != nil {
		return nil, err
	}
	stored, known := tx.newest[kind]
	if !known {
		if err := tx.GetContext(tx.ctx, &stored, "SELECT coalesce(max(id), 0) FROM "+string(kind)); err != nil {
			return nil, err
		}
	}
	t.last, t.graves = max(stored, t.buried, t.purged), t.buried >= 0
	tx.kinds[kind] = t
	return t, nil
}

func (tx *writeTx) readFacts(t *kindTail) error {
	return tx.QueryRowxContext(tx.ctx, "SELECT coalesce((SELECT max(id) FROM tombstone WHERE kind = ?), -1),"+
		" coalesce((SELECT max(to_id) FROM purge WHERE kind = ?), -1), coalesce((SELECT CAST(value AS BIGINT) FROM meta WHERE key = ?), 0)",
		t.kind, t.kind, spreadKey+string(t.kind)).Scan(&t.buried, &t.purged, &t.spread)
}

// tailFacts is what the database says of one kind beside its rows.
type tailFacts struct {
	buried int64 // the highest id that has a tombstone; -1 for none
	purged int64 // the highest id that was purged
	spread int64 // microseconds
}

// tailMemory keeps them from one append to the next. Whatever changes them adds an
// entry to the ledger: they are so as long as it ends where it did, and is the same one.
type tailMemory struct {
	mu     sync.Mutex
	seq    int64
	losses int64 // of connections: after another one it may be another machine's ledger
	kinds  map[audit.Kind]tailFacts
}

func (m *tailMemory) at(tx *writeTx, kind audit.Kind) (tailFacts, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	facts, known := m.kinds[kind]
	return facts, known && tx.before == m.seq && tx.losses == m.losses
}

// keep remembers what a transaction leaves that was committed and only added events.
func (m *tailMemory) keep(tx *writeTx) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kinds == nil || m.seq != tx.before || m.losses != tx.losses {
		m.kinds = map[audit.Kind]tailFacts{}
	}
	m.seq, m.losses = tx.seq, tx.losses
	for kind, t := range tx.kinds {
		m.kinds[kind] = t.tailFacts
	}
}

func (t *kindTail) saveSpread(tx *writeTx) error {
	if !t.newSpread {
		return nil
	}
	t.newSpread = false
	_, err := tx.ExecContext(tx.ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		spreadKey+string(t.kind), strconv.FormatInt(t.spread, 10))
	return err
}

// idRun is what stands at one timestamp: its ids, and its events by event_id.
type idRun struct {
	tail      *kindTail
	timestamp string
	micros    int64
	free      int64              // no id below it is free for this timestamp
	loaded    int64              // ids up to here were read
	taken     map[int64]struct{} // of what was read; nil where nothing is stored that late
	twins     map[string]*audit.Event
	stored    map[string]int64 // event_id to the id of a row read, loaded on demand
	buried    map[[32]byte]struct{}
	nameless  []int64           // ids of rows read that have no event_id
	contents  map[Content]int64 // how many of those say what; nil until somebody asks
}

// run returns the run of an event's timestamp, and whether it is new and has to
// be loaded. Where the timestamp is newer than everything stored there is nothing
// to load, which is the common case.
func (t *kindTail) run(e *audit.Event) (r *idRun, load bool) {
	micros := e.Time().UnixMicro()
	if r := t.runs[micros]; r != nil {
		return r, false
	}
	r = &idRun{tail: t, timestamp: e.Get("timestamp"), micros: micros, free: max(1, micros<<idBits)} // id 0 would be no id
	t.runs[micros] = r
	return r, micros<<idBits <= t.last
}

// foresee reads what the timestamps of events hold already: for all of them at
// once, since a question costs more than its answer.
func (tx *writeTx) foresee(group []*appendRequest) error {
	late := map[*kindTail][]*idRun{}
	for _, req := range group {
		for _, e := range req.events {
			tail, err := tx.tail(e.Kind)
			if err != nil {
				return err
			}
			if r, load := tail.run(e); load {
				r.taken, r.stored, r.buried = map[int64]struct{}{}, map[string]int64{}, map[[32]byte]struct{}{}
				r.loaded = r.micros<<idBits - 1
				late[tail] = append(late[tail], r)
			}
		}
	}
	for tail, runs := range late {
		slices.SortFunc(runs, func(a, b *idRun) int { return cmp.Compare(a.micros, b.micros) })
		if err := tail.load(tx, runs, tail.spread<<idBits|(1<<idBits-1)); err != nil {
			return err
		}
	}
	return nil
}

// load reads for each of the runs, from where it was read up to, a number of ids
// more: which of them are taken, and by what.
func (t *kindTail) load(tx *writeTx, runs []*idRun, span int64) error {
	from := make([]int64, len(runs))
	for i, r := range runs {
		from[i] = r.loaded + 1
		r.loaded += 1 + span
	}
	statement, args := t.takenBy(tx.dialect, from, span)
	take := func(run int, id int64, timestamp string) *idRun {
		r := runs[run]
		r.taken[id] = struct{}{}
		if timestamp != r.timestamp {
			return nil
		}
		r.free = max(r.free, id+1)
		return r
	}
	err := eachRow(tx.ctx, tx, statement, args, func(row scanner) error {
		var run int
		var id int64
		var timestamp string
		var eventID sql.NullString
		if err := row.Scan(&run, &id, &timestamp, &eventID); err != nil {
			return err
		}
		if r := take(run, id, timestamp); r != nil && eventID.Valid {
			r.stored[eventID.String] = id
		} else if r != nil {
			r.nameless, r.contents = append(r.nameless, id), nil
		}
		return nil
	})
	if err != nil || !t.graves {
		return err
	}
	list, starts := tx.dialect.list(from)
	return eachRow(tx.ctx, tx, "SELECT j.key, t.id, t.timestamp, t.event_id_hash FROM "+list+" j JOIN tombstone t ON t.kind = ? AND t.id BETWEEN j.value AND j.value + ?",
		[]any{starts, t.kind, span}, func(row scanner) error {
			var run int
			var id int64
			var timestamp string
			var hash []byte
			if err := row.Scan(&run, &id, &timestamp, &hash); err != nil {
				return err
			}
			if r := take(run, id, timestamp); r != nil && len(hash) == sha256.Size {
				r.buried[[32]byte(hash)] = struct{}{}
			}
			return nil
		})
}

// takenBy is the statement for the events that have one of so many ids from each of
// the places on. It is one look for each place, never a walk from the first to the
// last: late events may lie years apart.
func (t *kindTail) takenBy(d dialect, from []int64, span int64) (string, []any) {
	list, starts := d.list(from)
	bounds, args := d.bounds("e.id", slices.Min(from), slices.Max(from)+span)
	return "SELECT j.key, e.id, e.timestamp, e.event_id FROM " + list + " j CROSS JOIN " + string(t.kind) + " e WHERE e.id BETWEEN j.value AND j.value + ?" + bounds,
		append([]any{starts, span}, args...)
}

// What an event that is stored already looks like beside the one given.
const (
	noTwin = iota
	sameTwin
	otherTwin
)

// twin looks for the event among those of its timestamp.
func (r *idRun) twin(tx *writeTx, e *audit.Event) (int, error) {
	if other := r.twins[e.EventID]; other != nil {
		return compareTwins(other, e), nil
	}
	if id, ok := r.stored[e.EventID]; ok {
		st, err := tables[e.Kind].scan(tx.QueryRowxContext(tx.ctx, tables[e.Kind].byID, id))
		if err != nil {
			return noTwin, err
		}
		return compareTwins(st.Event, e), nil
	}
	if len(r.buried) > 0 {
		if _, ok := r.buried[sha256.Sum256([]byte(e.EventID))]; ok {
			return sameTwin, nil // what it said is gone, and so is every conflict with it
		}
	}
	if r.micros<<idBits <= r.tail.purged {
		if gone, err := r.tail.timesPurged(tx, r, e.EventID, 1); err != nil || gone > 0 {
			return sameTwin, err
		}
	}
	if c, n, is := parseContentName(e.EventID); is {
		if is, err := r.contentTwin(tx, e.Kind, c, n); err != nil || is {
			return sameTwin, err
		}
	}
	return noTwin, nil
}

func compareTwins(a, b *audit.Event) int {
	for i, f := range a.Kind.Fields() {
		if !f.Mutable && a.Values()[i] != b.Values()[i] {
			return otherTwin
		}
	}
	return sameTwin
}

// next returns the next free id of the run.
func (r *idRun) next(tx *writeTx) (int64, error) {
	for id := r.free; ; id++ {
		if r.taken != nil && id > r.loaded {
			if err := r.tail.load(tx, []*idRun{r}, 1<<idBits-1); err != nil {
				return 0, err
			}
			id = max(id, r.free)
		}
		if _, ok := r.taken[id]; ok {
			continue
		}
		if _, ok := r.tail.taken[id]; ok {
			continue
		}
		if id <= r.tail.purged {
			if had, err := r.tail.hadID(tx, id); err != nil {
				return 0, err
			} else if had {
				continue
			}
		}
		return id, nil
	}
}

// added keeps what the following events have to know of an id just given.
func (r *idRun) added(id int64, e *audit.Event) {
	t := r.tail
	r.free = id + 1
	t.taken[id] = struct{}{}
	t.last = max(t.last, id)
	if over := id>>idBits - r.micros; over > t.spread {
		t.spread, t.newSpread = over, true
	}
	if e.EventID != "" {
		if r.twins == nil {
			r.twins = map[string]*audit.Event{}
		}
		r.twins[e.EventID] = e
	}
}

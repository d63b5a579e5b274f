package db

import (
	"cmp"
	"slices"
	"sync"

	"github.com/auditadmin/auditadmin/audit"
)

// recent holds the events that this program recorded last, so that what is made
// of new events, the text index and the columns, need not read them again. Its
// events are a run of the ledger in which nothing else happened: whoever sees a
// ledger that ends within the run knows that their rows are as they were stored.
type recent struct {
	mu          sync.Mutex
	after, last int64 // it has what was recorded after the one entry, up to the other
	rows        map[audit.Kind][]recentRow
	size        int
	indexed     map[audit.Kind]int64 // up to which entry nobody needs them for the text index
	columned    int64                // and for the columns
}

// recentRow is an event as it was stored.
type recentRow struct {
	id, seq int64
	source  string
	values  []string // never changed, whoever gave the event
	size    int
}

// read returns what a column of the table says, as text; "" for NULL.
func (r *recentRow) read(kind audit.Kind, column string) string {
	if column == "source" {
		return r.source
	}
	i := kind.Index(column)
	if kind.Fields()[i].Type != audit.Boolean {
		return r.values[i]
	}
	if r.values[i] == "true" {
		return "1"
	}
	return "0"
}

// recentMost is how many bytes of events are held at most: about 40,000 events.
// Where what is made of them is further behind, it reads the tables.
const recentMost = 48 << 20

// recentRowSize is about what a row takes beside its texts.
const recentRowSize = 512

func newRecent() *recent {
	return &recent{rows: map[audit.Kind][]recentRow{}, indexed: map[audit.Kind]int64{}}
}

// extend adds what a commit recorded after one entry, up to another. Where that is
// more than the events of rows, or does not follow what is held, the run begins anew.
func (r *recent) extend(after, last int64, rows map[audit.Kind][]newRow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, size := 0, 0
	for _, some := range rows {
		for _, row := range some {
			n++
			size += recentRowSize
			for _, v := range row.event.Values() {
				size += len(v)
			}
		}
	}
	alone := int64(n) == last-after
	if after != r.last || !alone || size > recentMost/2 {
		clear(r.rows)
		r.size, r.after = 0, last
	}
	r.last = last
	if !alone || size > recentMost/2 {
		return
	}
	r.after = min(r.after, after)
	for r.size+size > recentMost {
		r.after += (after - r.after + 1) / 2
		for kind := range r.rows {
			r.drop(kind, r.after)
		}
	}
	for kind, some := range rows {
		some = slices.Clone(some)
		slices.SortFunc(some, func(a, b newRow) int { return cmp.Compare(a.seq, b.seq) })
		width := len(kind.Fields())
		texts := make([]string, 0, len(some)*width)
		for _, row := range some {
			texts = append(texts, row.event.Values()...)
			held := recentRow{id: row.id, seq: row.seq, source: row.event.Source, values: texts[len(texts)-width:], size: recentRowSize}
			for _, v := range held.values {
				held.size += len(v)
			}
			r.size += held.size
			r.rows[kind] = append(r.rows[kind], held)
		}
	}
}

// since returns the events of a kind that were recorded after one entry up to
// another, in that order, and whether it has them all and they are as the rows
// are in a ledger that ends with head.
func (r *recent) since(kind audit.Kind, after, upTo, head int64) ([]recentRow, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if after < r.after || head > r.last {
		return nil, false
	}
	rows := r.rows[kind]
	from, to := rowAfter(rows, after), rowAfter(rows, upTo)
	return rows[from:to:to], true
}

// rowAfter is where what was recorded after an entry begins.
func rowAfter(rows []recentRow, seq int64) int {
	i, _ := slices.BinarySearchFunc(rows, seq+1, func(r recentRow, seq int64) int { return cmp.Compare(r.seq, seq) })
	return i
}

// indexedUpTo and columnedUpTo say that the text index of a kind, or the columns
// of all, have what was recorded up to an entry. What both have is let go.
func (r *recent) indexedUpTo(kind audit.Kind, seq int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.indexed[kind] = seq
	r.letGo(kind)
}

func (r *recent) columnedUpTo(seq int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.columned = seq
	for kind := range r.rows {
		r.letGo(kind)
	}
}

func (r *recent) letGo(kind audit.Kind) { r.drop(kind, min(r.indexed[kind], r.columned)) }

// drop takes away what was recorded up to an entry.
func (r *recent) drop(kind audit.Kind, upTo int64) {
	rows := r.rows[kind]
	n := rowAfter(rows, upTo)
	if n == 0 {
		return
	}
	for _, row := range rows[:n] {
		r.size -= row.size
	}
	r.rows[kind] = slices.Clone(rows[n:]) // who reads the others just now keeps them
}

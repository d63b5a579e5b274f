package db

import (
	"sync"
	"sync/atomic"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// columns mirrors, for every event, the fields that are filtered and counted
// exactly. What it holds is derived: the ledger says what is new since it last
// looked, so it is right at every moment and beside other programs.
//
// Readers take a view, which never changes; the one that refreshes makes new
// views. So a page sees one state of the data from its first query to its last.
type columns struct {
	mu     sync.Mutex           // held by whoever changes views
	head   atomic.Int64         // the ledger's seq up to which the views are complete
	past   atomic.Pointer[past] // that entry; nil on an engine that is nobody's but this machine's
	losses atomic.Int64         // of connections, when the ledger was last seen to have it
	kinds  map[audit.Kind]*kindColumns
	marks  *markCache
}

// kindColumns is one kind: its columns by field and its current view.
type kindColumns struct {
	kind    audit.Kind
	layout  segment.Layout
	exprs   []string // of the columns, as they are read
	index   map[string]int
	numbers []string // of the numeric columns
	names   []*names // of the columns: what facets call their words
	known   int64    // complete up to this seq; may be ahead of what the others know
	view    atomic.Pointer[view]
	words   int64      // bytes of words that a piece in memory is not to have more of: pieceWords
	sealing int64      // pieces up to this seq are being written to a file; 0 if none are
	during  []decision // what was decided about them meanwhile

	resolved, resolvedBy int // columns of a system event, else -1

	crossing sync.Mutex // held for crosses itself
	crosses  map[[2]int]*cross
}

func newColumns() *columns {
	c := &columns{kinds: map[audit.Kind]*kindColumns{}, marks: newMarkCache()}
	for _, kind := range audit.Kinds() {
		c.kinds[kind] = newKindColumns(kind)
	}
	return c
}

func newKindColumns(kind audit.Kind) *kindColumns {
	k := &kindColumns{kind: kind, index: map[string]int{}, words: pieceWords, resolved: -1, resolvedBy: -1, crosses: map[[2]int]*cross{}}
	k.view.Store(&view{})
	for _, f := range query.Fields(kind) {
		for _, field := range f.Columns {
			switch f.Class {
			case query.ClassValue, query.ClassState, query.ClassAddress:
				k.addText(field, "e."+field, f.Class == query.ClassAddress)
			case query.ClassNumber:
				k.numbers = append(k.numbers, field)
			case query.ClassText:
				if kind.Fields()[kind.Index(field)].Type == audit.Text {
					k.addText(filled+field, "CASE WHEN e."+field+" <> '' THEN 1 ELSE 0 END", false)
				}
			}
		}
	}
	k.layout.Numbers = len(k.numbers)
	if kind == audit.KindSystemEvent {
		k.addText("resolved", "e.resolved", false)
		k.addText("resolved_by", "e.resolved_by", false)
		k.resolved, k.resolvedBy = k.index["resolved"], k.index["resolved_by"]
	}
	return k
}

// addText adds a column of texts, unless it is there: several fields of the query
// language may read the same.
func (k *kindColumns) addText(name, expr string, addresses bool) {
	if _, ok := k.index[name]; ok {
		return
	}
	k.index[name] = len(k.exprs)
	k.exprs = append(k.exprs, expr)
	k.layout.Texts = append(k.layout.Texts, segment.Text{Name: name, Addresses: addresses})
	k.names = append(k.names, newNames(len(k.names)))
}

// filled begins the names of the columns that say of a text only whether there
// is any.
const filled = "filled:"

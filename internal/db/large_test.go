package db

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
)

// TestPagesOfLargeEvents walks over more large events than a page may hold: it
// is cut short, and nothing is left out or shown twice either way.
func TestPagesOfLargeEvents(t *testing.T) {
	s := openTest(t)
	const events = 30
	var all []*audit.Event
	large := strings.Repeat("x", 1<<20)
	for i := range events {
		all = append(all, event(t, "reason", strconv.Itoa(i)+large))
	}
	mustAppend(t, s, all...)
	sel := mustSelect(t, s, audit.KindAuditLog, "")
	first := mustList(t, sel, Page{Limit: 1000})
	if n := len(first.Items); n < 10 || n > pageBytes>>20 || first.Next == 0 {
		t.Errorf("got %d events of a MiB on a page, next %d; want fewer than fit into %d bytes, and more after them", n, first.Next, pageBytes)
	}
	var want []int64
	for _, st := range everything(t, s, audit.KindAuditLog) {
		want = append(want, st.ID)
	}
	slices.Sort(want)
	slices.Reverse(want)
	if down, up := walk(t, sel, 1000), walkBack(t, sel, 1000); !slices.Equal(down, want) || !slices.Equal(up, want) {
		t.Errorf("of %d events, walking down found %d and walking up %d, or in another order", len(want), len(down), len(up))
	}
}

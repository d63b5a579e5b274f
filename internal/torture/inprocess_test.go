//go:build linux

package torture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/handlers"
	"github.com/auditadmin/auditadmin/internal/query"
)

// TestR11ClockJumps sets the clock an hour back and forth while events are
// recorded, 200 times, in the long form 5,000: recorded_at never goes back while
// seq goes on, the list is in the order in which things happened, what is more
// than a day ahead is refused, and a clock that is set back does not prolong a
// session.
func TestR11ClockJumps(t *testing.T) {
	beside(t)
	f := finding{Fault: "R11", What: "clock jumps", Times: size(200, 5000)}
	began := time.Now()
	own := random(t, 11)
	now := atomic.Pointer[time.Time]{}
	start := firstEvent.AddDate(0, 6, 0)
	now.Store(&start)
	clock := func() time.Time { return *now.Load() }
	path := filepath.Join(fast(t), "audit.db")
	store, err := db.Open(t.Context(), path, db.Options{Schema: auditadmin.Schema, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for range f.Times {
		jump := time.Duration(own.IntN(3)-1)*time.Hour + time.Duration(own.IntN(1000))*time.Millisecond
		if at := clock().Add(jump); at.Before(start.Add(12*time.Hour)) && at.After(start.Add(-12*time.Hour)) {
			now.Store(&at)
		}
		e := audit.NewEvent(audit.KindAuditLog)
		e.SetTime(clock())
		e.Set("action", "UPDATE")
		if err := e.Normalize(clock()); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Append(t.Context(), []*audit.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	ahead := audit.NewEvent(audit.KindAuditLog)
	ahead.SetTime(clock().Add(25 * time.Hour))
	ahead.Set("action", "UPDATE")
	if err := ahead.Normalize(clock()); err == nil {
		f.Wrong++
		t.Error("an event a day and an hour ahead: got no error, want one")
	}
	filter, err := query.Parse(audit.KindAuditLog, "", query.Options{Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	sel, err := store.Select(t.Context(), filter)
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[int64]time.Time{}
	var last time.Time
	err = sel.Each(t.Context(), func(st *db.Stored) error {
		recorded[st.Seq] = st.RecordedAt
		if !last.IsZero() && st.Time().After(last) {
			f.Wrong++
			t.Errorf("event %d is listed out of the order in which things happened", st.ID)
		}
		last = st.Time()
		return nil
	})
	if err != nil || len(recorded) != f.Times {
		t.Fatalf("got %d events and %v, want %d", len(recorded), err, f.Times)
	}
	last = time.Time{}
	for seq := int64(1); seq <= int64(f.Times); seq++ {
		if recorded[seq].Before(last) {
			f.Wrong++
			t.Errorf("entry %d was recorded at %s, and the one before it at %s", seq, recorded[seq], last)
		}
		last = recorded[seq]
	}
	f.Wrong += sessionsUnderJumps(t, store, clock, func(at time.Time) { now.Store(&at) })
	f.Took = time.Since(began)
	judge(t, f)
}

// sessionsUnderJumps looks how long sessions last when the clock is set back
// while they are open, and returns how often that was wrong.
func sessionsUnderJumps(t *testing.T, store *db.Store, clock func() time.Time, set func(time.Time)) (wrong int) {
	site, err := handlers.New(t.Context(), handlers.Config{Store: store, Version: "test", Now: clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := authz.NewPasswords(nil).New(t.Context(), operator, password)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.CreateAccount(t.Context(), db.CommandLine("test"), operator, db.RoleSuperuser, hash); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(site)
	defer web.Close()
	origin := clock()
	for _, test := range []struct {
		name  string
		steps []time.Duration // from the sign-in; at each a page is asked for
		last  time.Duration   // then nobody may be signed in any more
	}{
		{"idle, set back between", []time.Duration{10 * time.Minute, -50 * time.Minute}, 41 * time.Minute},
		{"twelve hours, set back again and again", []time.Duration{20 * time.Minute, -time.Hour, 15 * time.Minute, -time.Hour, 25 * time.Minute}, 12*time.Hour + time.Minute},
	} {
		origin = origin.AddDate(0, 0, 2)
		set(origin)
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		p := &person{&server{url: web.URL}, &http.Client{Jar: jar, Timeout: patience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
		if a, err := p.post("/login", url.Values{"username": {operator}, "password": {password}}); err != nil || a.status != http.StatusSeeOther {
			t.Fatalf("sign in: got %d, %v: %.300s", a.status, err, a.body)
		}
		if a, err := p.get("/audit-logs"); err != nil || a.status != http.StatusOK {
			t.Fatalf("after signing in: got %d, %v, want 200", a.status, err)
		}
		for _, step := range test.steps {
			set(origin.Add(step))
			if _, err := p.get("/audit-logs"); err != nil {
				t.Fatal(err)
			}
		}
		set(origin.Add(test.last))
		if a, err := p.get("/audit-logs"); err != nil || a.status == http.StatusOK {
			wrong++
			t.Errorf("%s: got %d, %v, %s after signing in, want to sign in anew", test.name, a.status, err, test.last)
		}
	}
	return wrong
}

// TestR13Races lets 64 at a time resolve, delete, count and export the same
// events, for 5 rounds, in the long form 1,000. Of those who resolve one event
// one succeeds at most, of those who delete it exactly one, everybody else is
// told so; the ledger has one entry for each; and an export has as many events
// as it counted.
func TestR13Races(t *testing.T) {
	beside(t)
	f := finding{Fault: "R13", What: "races of 64", Times: size(5, 1000)}
	began := time.Now()
	ctx := t.Context()
	path := filepath.Join(fast(t), "audit.db")
	store, err := db.Open(ctx, path, db.Options{Schema: auditadmin.Schema})
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	var mutex sync.Mutex
	complain := func(format string, args ...any) {
		mutex.Lock()
		defer mutex.Unlock()
		f.Wrong++
		t.Errorf(format, args...)
	}
	honest := func(err error) bool {
		return errors.Is(err, db.ErrConflict) || errors.Is(err, db.ErrDeleted)
	}
	all, err := query.Parse(audit.KindSystemEvent, "", query.Options{Now: firstEvent})
	if err != nil {
		t.Fatal(err)
	}
	for round := range f.Times {
		var events []*audit.Event
		for len(events) < 4 {
			if next++; kindOf(next) == audit.KindSystemEvent {
				e, err := audit.DecodeEvent([]byte(strings.TrimSpace(string(line(next)))), audit.DecodeOptions{})
				if err == nil {
					err = e.Normalize(firstEvent.AddDate(0, 1, 0))
				}
				if err != nil {
					t.Fatal(err)
				}
				events = append(events, e)
			}
		}
		if _, err := store.Append(ctx, events); err != nil {
			t.Fatal(err)
		}
		sel, err := store.Select(ctx, all)
		if err != nil {
			t.Fatal(err)
		}
		list, err := sel.List(ctx, db.Page{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var ids []int64
		for _, st := range list.Items {
			for _, e := range events {
				if st.EventID == e.EventID {
					ids = append(ids, st.ID)
				}
			}
		}
		if len(ids) != 4 {
			t.Fatalf("got %d of the 4 events of round %d", len(ids), round)
		}
		var resolved, deleted [4]atomic.Int64
		var work sync.WaitGroup
		for g := range 64 {
			which, id := g%4, ids[g%4]
			actor := db.Actor{Name: fmt.Sprint("racer ", g)}
			work.Go(func() {
				switch g / 4 % 4 {
				case 0, 1:
					n, err := store.Resolve(ctx, actor, []int64{id}, "seen")
					if err != nil && !honest(err) || err == nil && n != 1 {
						complain("resolve: got %d, %v, want 1, or that somebody was faster", n, err)
					}
					if err == nil {
						resolved[which].Add(1)
					}
				case 2:
					n, err := store.Delete(ctx, actor, audit.KindSystemEvent, []int64{id}, "asked for")
					if err != nil && !honest(err) || err == nil && n != 1 {
						complain("delete: got %d, %v, want 1, or that somebody was faster", n, err)
					}
					if err == nil {
						deleted[which].Add(1)
					}
				case 3:
					sel, err := store.Select(ctx, all)
					if err != nil {
						complain("select: %v", err)
						return
					}
					if _, err := sel.Count(ctx); err != nil {
						complain("count: %v", err)
					}
					seen := map[int64]bool{}
					if err := sel.Each(ctx, func(st *db.Stored) error {
						if seen[st.ID] {
							complain("an export has event %d twice", st.ID)
						}
						seen[st.ID] = true
						return nil
					}); err != nil {
						complain("export: %v", err)
					}
				}
			})
		}
		work.Wait()
		for i, id := range ids {
			decisions, err := store.Decisions(ctx, audit.KindSystemEvent, id)
			if err != nil {
				t.Fatal(err)
			}
			entries := map[string]int64{}
			for _, d := range decisions {
				entries[d.Entry]++
			}
			if deleted[i].Load() != 1 || resolved[i].Load() > 1 || entries["deleted"] != 1 || entries["resolved"] != resolved[i].Load() {
				complain("round %d: %d deleted and %d resolved event %d, and the ledger says %v", round, deleted[i].Load(), resolved[i].Load(), id, entries)
			}
		}
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	j := newJournal()
	f.add(examine(context.WithoutCancel(ctx), path, j))
	f.Took = time.Since(began)
	judge(t, f)
}

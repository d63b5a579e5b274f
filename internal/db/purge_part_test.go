package db

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin/audit"
)

// shelf is an archive as Purge asks for one.
type shelf struct{ parts [][]*Stored }

func (a *shelf) write(part PurgePart) error {
	for n := len(a.parts); n > 0 && a.parts[n-1][len(a.parts[n-1])-1].ID >= part.Events[0].ID; n-- {
		a.parts = a.parts[:n-1]
	}
	a.parts = append(a.parts, part.Events)
	return nil
}

func (a *shelf) ids() (ids []int64) {
	for _, part := range a.parts {
		for _, st := range part {
			ids = append(ids, st.ID)
		}
	}
	return ids
}

// fourteenMonths appends 40 audit logs and 5 login attempts to each month from
// January 2025 on, the later half of them first, and more audit logs to May 2025.
func fourteenMonths(t *testing.T, s *Store, more int) (events []*audit.Event) {
	t.Helper()
	for m := range 14 {
		at := time.Date(2025, time.Month(1+m), 3, 0, 0, 0, 0, time.UTC)
		for i := range 40 {
			events = append(events, event(t, "timestamp", audit.FormatTime(at.Add(time.Duration(i/2)*time.Hour)), "event_id", fmt.Sprint(m, "-", i), "object_id", fmt.Sprint(i), "username", []string{"alice", "bob"}[i%2]))
		}
		for i := range 5 {
			events = append(events, eventOf(t, audit.KindLoginAttempt, "timestamp", audit.FormatTime(at.Add(time.Duration(i)*time.Minute)), "username", "alice", "status", "SUCCESS"))
		}
		if m == 4 {
			for i := range more {
				events = append(events, event(t, "timestamp", audit.FormatTime(at.Add(48*time.Hour+time.Duration(i)*time.Millisecond)), "event_id", fmt.Sprint("more", i)))
			}
		}
	}
	mustAppend(t, s, events[len(events)/2:]...)
	mustAppend(t, s, events[:len(events)/2]...)
	return events
}

// monthsOf are the partitions of audit logs, without that of the tests' present.
func monthsOf(t *testing.T, s *Store) (names []string) {
	t.Helper()
	parts, err := s.dialect.parts(t.Context(), s.ro, audit.KindAuditLog)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		if part.to <= monthOf(noon).first() {
			names = append(names, strings.TrimPrefix(part.name, "audit_log_"))
		}
	}
	return names
}

func mustHold(t *testing.T, s *Store, when string) {
	t.Helper()
	if v, err := s.Verify(context.WithoutCancel(t.Context()), VerifyOptions{}); err != nil || !v.Holds() {
		t.Errorf("%s: got %+v, %v, want evidence that holds", when, v, err)
	}
}

func newYear() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// postgresPurgeDropsMonths: months go whole where nothing of them stays, and row by
// row where a hold keeps something, until that is released. The evidence holds at
// every moment.
func postgresPurgeDropsMonths(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	events := fourteenMonths(t, s, 12_500)                                                                                                   // more than is read at once
	s.dialect.(*postgresDialect).months.make(ctx, s.side, audit.KindAuditLog, []month{monthOf(time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC))}) // holds nothing
	if got := monthsOf(t, s); len(got) != 15 {
		t.Fatalf("got the months %v, want 15", got)
	}
	hold, err := s.Hold(ctx, ines, audit.KindAuditLog, "user:alice object:4 on:2025-03", "case 12")
	if err != nil {
		t.Fatal(err)
	}
	old := everything(t, s, audit.KindAuditLog)
	old = slices.DeleteFunc(old, func(st *Stored) bool { return !st.Time().Before(newYear()) })
	if err := s.Index(ctx); err != nil {
		t.Fatal(err)
	}
	var archive shelf
	job := PurgeJob{Kind: audit.KindAuditLog, Before: newYear(), Reason: "a year", ArchiveName: "shelf", Archive: func(part PurgePart) error {
		mustHold(t, s, "before a part is gone")
		return archive.write(part)
	}}
	got, err := s.Purge(ctx, ines, job)
	if err != nil || got.Events != int64(len(old)-1) || got.Held != 1 || got.First != old[0].Time() || got.Last != old[len(old)-1].Time() {
		t.Errorf("got %+v, %v, want %d events from %v to %v and one held", got, err, len(old)-1, old[0].Time(), old[len(old)-1].Time())
	}
	t.Logf("writers waited at most %v", got.Pause)
	mustHold(t, s, "after the purge")
	if got, want := monthsOf(t, s), []string{"2025_03", "2026_01", "2026_02"}; !slices.Equal(got, want) {
		t.Errorf("got the months %v, want %v", got, want)
	}
	if ids := archive.ids(); len(ids) != len(old)-1 || !slices.IsSorted(ids) {
		t.Errorf("got %d events in the archive, want %d", len(ids), len(old)-1)
	}
	if n := countAll(t, s, audit.KindLoginAttempt, ""); n != 14*5 {
		t.Errorf("got %d login attempts, want all", n)
	}
	if n := countAll(t, s, audit.KindAuditLog, "before:2026-01-01"); n != 1 {
		t.Errorf("got %d audit logs before 2026, want the one that is held", n)
	}
	agreesWithRows(t, s, "after the purge")
	checkLots(t, s, "alice", "bob")
	for i, st := range old {
		if i%50 != 0 {
			continue
		}
		var deleted *DeletedError
		if _, err := s.Get(ctx, audit.KindAuditLog, st.ID); st.Get("object_id") != "4" && (!errors.As(err, &deleted) || deleted.Reason != "a year") {
			t.Fatalf("got %v of a purged event, want who purged it and why", err)
		}
	}
	// Twins stay duplicates, and no id is given to another event: they come back to
	// months that are made again.
	logs := slices.DeleteFunc(slices.Clone(events), func(e *audit.Event) bool { return e.Kind != audit.KindAuditLog })
	if got := mustAppend(t, s, logs...); got.Accepted != 0 {
		t.Errorf("got %+v of all audit logs again, want duplicates", got)
	}
	var others []*audit.Event
	for _, e := range logs[:400] {
		others = append(others, event(t, "timestamp", e.Get("timestamp"), "event_id", "other "+e.EventID))
	}
	mustAppend(t, s, others...)
	taken := map[int64]bool{}
	for _, st := range old {
		taken[st.ID] = true
	}
	for _, st := range everything(t, s, audit.KindAuditLog) {
		if taken[st.ID] && st.Get("object_id") != "4" {
			t.Errorf("%s has the id of a purged event", st.EventID)
		}
	}
	mustHold(t, s, "after others came")
	if err := s.Release(ctx, ines, hold, "closed"); err != nil {
		t.Fatal(err)
	}
	job.Archive, job.ArchiveName = nil, ""
	if got, err := s.Purge(ctx, ines, job); err != nil || got.Events < 2 || got.Held != 0 {
		t.Errorf("got %+v, %v of the purge after the release", got, err)
	}
	if got, want := monthsOf(t, s), []string{"2026_01", "2026_02"}; !slices.Equal(got, want) {
		t.Errorf("got the months %v, want %v", got, want)
	}
	mustHold(t, s, "after both")
	if n := countAll(t, s, audit.KindAuditLog, "before:2026-01-01"); n != 0 {
		t.Errorf("got %d audit logs before 2026, want none", n)
	}
	path := s.Path()
	s.Close()
	s = openAt(t, path)
	agreesWithRows(t, s, "after a restart")
}

// postgresPurgeIsInterrupted breaks a purge of months in every way, and goes on.
func postgresPurgeIsInterrupted(t *testing.T) {
	broken := errors.New("the archive is full")
	for _, c := range []struct {
		name string
		// now is called once, when the first part of May has been archived.
		now  func(t *testing.T, s *Store, cancel func()) error
		want error // of the first purge; nil for none
		may  bool  // whether May is there after the first purge
		held int64
	}{
		{name: "stopped", now: func(_ *testing.T, _ *Store, cancel func()) error { cancel(); return nil }, want: context.Canceled, may: true},
		{name: "the archive is full", now: func(*testing.T, *Store, func()) error { return broken }, want: broken, may: true},
		{name: "the connection is lost", now: func(t *testing.T, s *Store, _ func()) error {
			if n := endApart(t, s); n != 1 {
				t.Errorf("ended %d connections, want one", n)
			}
			return nil
		}, may: true},
		{name: "a late event", now: func(t *testing.T, s *Store, _ func()) error {
			mustAppend(t, s, event(t, "timestamp", "2025-05-20T00:00:00Z", "event_id", "late"))
			return nil
		}},
		{name: "a deletion", now: func(t *testing.T, s *Store, _ func()) error {
			st := mustList(t, mustSelect(t, s, audit.KindAuditLog, "on:2025-05 object:7"), Page{Limit: 1}).Items[0]
			_, err := s.Delete(t.Context(), ines, audit.KindAuditLog, []int64{st.ID}, "asked for")
			return err
		}},
		{name: "a hold", now: func(t *testing.T, s *Store, _ func()) error {
			_, err := s.Hold(t.Context(), ines, audit.KindAuditLog, "on:2025-05 object:7", "case")
			return err
		}, may: true, held: 1},
		{name: "another purge", now: func(t *testing.T, s *Store, _ func()) error {
			_, err := s.Purge(t.Context(), ines, PurgeJob{Kind: audit.KindAuditLog, Before: newYear(), Reason: "another"})
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openTest(t)
			fourteenMonths(t, s, 200)
			all := countAll(t, s, audit.KindAuditLog, "before:2026-01-01")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var archive shelf
			once := false
			job := PurgeJob{Kind: audit.KindAuditLog, Before: newYear(), Reason: "a year", Archive: func(part PurgePart) error {
				if !once && monthOf(part.Events[0].Time()) == monthOf(time.Date(2025, 5, 1, 0, 0, 0, 0, time.UTC)) {
					once = true
					err := c.now(t, s, cancel)
					mustHold(t, s, "half way")
					if err != nil {
						return err
					}
				}
				return archive.write(part)
			}}
			first, err := s.Purge(ctx, ines, job)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Fatalf("got %+v, %v, want %v", first, err, c.want)
			}
			mustHold(t, s, "after the first purge")
			if got := slices.Contains(monthsOf(t, s), "2025_05"); got != c.may {
				t.Errorf("May is there: %v, want %v", got, c.may)
			}
			if c.want == nil {
				if n := countAll(t, s, audit.KindAuditLog, "before:2026-01-01"); n != c.held || first.Held != c.held {
					t.Errorf("got %d events and %+v, want %d left", n, first, c.held)
				}
				if c.name != "another purge" && int64(len(archive.ids())) != first.Events {
					t.Errorf("got %d events in the archive and %d purged", len(archive.ids()), first.Events)
				}
			} else if n := countAll(t, s, audit.KindAuditLog, "before:2026-01-01"); n != all-first.Events || first.Events == 0 {
				t.Errorf("got %d events of %d, and %d purged", n, all, first.Events)
			}
			second, err := s.Purge(t.Context(), ines, PurgeJob{Kind: audit.KindAuditLog, Before: newYear(), Reason: "again"})
			if err != nil || second.Held != c.held {
				t.Errorf("got %+v, %v", second, err)
			}
			mustHold(t, s, "after the second purge")
			want := []string{"2026_01", "2026_02"}
			if c.held > 0 {
				want = slices.Insert(want, 0, "2025_05")
			}
			if diff := cmp.Diff(want, monthsOf(t, s)); diff != "" {
				t.Errorf("wrong months (-want +got):\n%s", diff)
			}
			agreesWithRows(t, s, "after both")
		})
	}
}

// endApart ends the connection that prepares that a month is dropped.
func endApart(t *testing.T, s *Store) (n int) {
	t.Helper()
	// It is the one that holds the lock of those who do.
	err := onPostgres.admin.QueryRow("SELECT count(*) FILTER (WHERE pg_terminate_backend(l.pid)) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"+
		" WHERE l.locktype = 'advisory' AND d.datname = $1 AND l.objid = $2", s.dialect.(*postgresDialect).config.Database, pgLockPurge&0xffffffff).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// postgresPurgeWaitsForReaders: a month is dropped when its readers are done. Nobody
// waits for those meanwhile, and where they do not end its rows go one by one.
func postgresPurgeWaitsForReaders(t *testing.T) {
	s := openTest(t)
	d := s.dialect.(*postgresDialect)
	fourteenMonths(t, s, 0)
	other := sqlx.MustOpen("pgx", onPostgres.asOwner(d.config.Database))
	defer other.Close()
	reader := other.MustBegin()
	reader.MustExec("LOCK TABLE audit_log IN ACCESS SHARE MODE")
	d.patience = 300 * time.Millisecond
	job := PurgeJob{Kind: audit.KindAuditLog, Before: time.Date(2025, 2, 1, 0, 0, 0, 0, time.UTC), Reason: "a year"}
	if got, err := s.Purge(t.Context(), ines, job); err != nil || got.Events != 40 {
		t.Errorf("got %+v, %v, want 40 events", got, err)
	}
	if got := monthsOf(t, s); got[0] != "2025_01" {
		t.Errorf("got the months %v, want January left without a row", got)
	}
	d.patience = time.Minute
	done := make(chan error, 1)
	job.Before = time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)
	go func() {
		_, err := s.Purge(t.Context(), ines, job)
		done <- err
	}()
	for i := range 20 { // while the purge asks for the table, others write and read
		mustAppend(t, s, event(t, "event_id", fmt.Sprint("beside", i)))
	}
	select {
	case err := <-done:
		t.Errorf("the purge was done while the month was read: %v", err)
	default:
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := monthsOf(t, s); got[0] != "2025_03" {
		t.Errorf("got the months %v, want January and February gone", got)
	}
	mustHold(t, s, "after the purge")
}

// postgresPurgeLosesItsCommit cuts the connection at the commit that drops a month.
func postgresPurgeLosesItsCommit(t *testing.T) {
	for _, late := range []bool{true, false} {
		t.Run(fmt.Sprint("late=", late), func(t *testing.T) {
			s, w := overWire(t, late)
			fourteenMonths(t, s, 0)
			if err := errors.Join(s.Index(t.Context()), s.growTree(t.Context())); err != nil {
				t.Fatal(err)
			}
			var archive shelf
			cut := false
			job := PurgeJob{Kind: audit.KindAuditLog, Before: newYear(), Reason: "a year", Archive: func(part PurgePart) error {
				if !cut && monthOf(part.Events[0].Time()) == monthOf(time.Date(2025, 4, 1, 0, 0, 0, 0, time.UTC)) {
					cut = true
					w.cut.Store(1)
				}
				return archive.write(part)
			}}
			got, err := s.Purge(t.Context(), ines, job)
			if err != nil || w.cuts.Load() != 1 || got.Events != 12*40 {
				t.Errorf("got %+v, %v after %d cuts, want %d events after one", got, err, w.cuts.Load(), 12*40)
			}
			if n := len(archive.ids()); n != 12*40 {
				t.Errorf("got %d events in the archive", n)
			}
			mustHold(t, s, "after the purge")
		})
	}
}

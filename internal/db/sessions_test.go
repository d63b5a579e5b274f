package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
)

func (a *admin) session(acc *db.Account, id string, replaces []byte) *db.Session {
	a.t.Helper()
	se := &db.Session{Role: acc.Role, PublicID: "public-" + id, AccountID: acc.ID, CreatedAt: a.clock(), SeenAt: a.clock(),
		ExpiresAt: a.clock().Add(30 * time.Minute), Address: "192.0.2.7", UserAgent: "Firefox"}
	if err := a.CreateSession(a.t.Context(), db.Actor{Name: acc.Name}, db.SignIn{IDHash: []byte(id), Replaces: replaces, Session: se, Account: acc, Method: "password", Max: 3}); err != nil {
		a.t.Fatal(err)
	}
	return se
}

func (a *admin) open() (ids []string) {
	a.t.Helper()
	all, err := a.Sessions(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	for _, se := range all {
		ids = append(ids, se.PublicID)
	}
	return ids
}

func (a *admin) wantOpen(want ...string) {
	a.t.Helper()
	got := map[string]bool{}
	for _, id := range a.open() {
		got[id] = true
	}
	ok := len(got) == len(want)
	for _, id := range want {
		ok = ok && got["public-"+id]
	}
	if !ok {
		a.t.Errorf("open sessions: got %v, want %v", a.open(), want)
	}
}

func TestSessions(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	ines, omar := a.account("ines", db.RoleViewer), a.account("omar", db.RoleSuperuser)
	key := db.AccountKey("INES")
	if _, _, err := a.ChargeThrottle(ctx, key, func(db.Throttle) (db.Throttle, bool) {
		return db.Throttle{Failures: 9, Until: a.clock(), SeenAt: a.clock()}, true
	}); err != nil {
		t.Fatal(err)
	}
	want := a.session(ines, "a", nil)
	got, acc, err := a.Session(ctx, []byte("a"))
	if err != nil || *got != *want || acc.Name != "ines" || !acc.LastLoginAt.Equal(a.clock()) {
		t.Errorf("Session: got %+v of %+v, %v; want %+v", got, acc, err, want)
	}
	if state, err := a.Throttle(ctx, key); err != nil || state.Failures != 0 {
		t.Errorf("throttle after signing in: got %+v, %v; want none", state, err)
	}
	for _, id := range []string{"b", "c", "d"} { // at most three: the oldest goes
		a.sleep(time.Second)
		a.session(ines, id, nil)
	}
	a.session(omar, "o", nil)
	a.wantOpen("b", "c", "d", "o")
	a.session(ines, "e", []byte("c")) // takes the place of c
	a.wantOpen("b", "d", "e", "o")

	if err := a.RenewSession(ctx, []byte("b"), []byte("B"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Session(ctx, []byte("b")); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("the old id after renewal: got %v, want ErrNotFound", err)
	}
	if se, _, err := a.Session(ctx, []byte("B")); err != nil || se.PublicID != "public-b" {
		t.Errorf("the new id after renewal: got %+v, %v", se, err)
	}
	seen := a.clock().Add(5 * time.Minute)
	if err := a.TouchSession(ctx, []byte("B"), seen, seen.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if se, _, err := a.Session(ctx, []byte("B")); err != nil || !se.SeenAt.Equal(seen) || !se.ExpiresAt.Equal(seen.Add(time.Hour)) {
		t.Errorf("after TouchSession: got %+v, %v", se, err)
	}

	// Its own other sessions end when somebody changes the password.
	if err := a.SetPassword(ctx, db.Actor{Name: "ines", AccountID: ines.ID, SessionID: "public-b"}, ines.ID, "new"); err != nil {
		t.Fatal(err)
	}
	a.wantOpen("b", "o")
	se := &db.Session{PublicID: "late", AccountID: ines.ID, CreatedAt: a.clock(), SeenAt: a.clock(), ExpiresAt: a.clock().Add(time.Hour)}
	if err := a.CreateSession(ctx, db.Actor{Name: "ines"}, db.SignIn{IDHash: []byte("late"), Session: se, Account: ines, Max: 3}); !errors.Is(err, db.ErrConflict) {
		t.Errorf("a session by the password of before: got %v, want ErrConflict", err)
	}
	if err := a.SetDisabled(ctx, db.Actor{}, ines.ID, true); err != nil {
		t.Fatal(err)
	}
	a.wantOpen("o")

	a.sleep(31 * time.Minute) // ran out, and is swept away by the next one
	a.wantOpen()
	a.session(omar, "p", nil)
	if n := a.rows("SELECT count(*) FROM session"); n[0] != "1" {
		t.Errorf("stored sessions: got %s, want 1", n[0])
	}
	logins := a.rows("SELECT username, status, session_key FROM login_attempt ORDER BY seq")
	if len(logins) != 7 || logins[0] != "ines SUCCESS public-a" {
		t.Errorf("login attempts: got %q, want 7 of SUCCESS", logins)
	}
}

func TestEndingSessions(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	ines, root := a.account("ines", db.RoleViewer), a.account("root", db.RoleSuperuser)
	before := len(a.deeds())
	by := db.Actor{Name: "root", AccountID: root.ID, SessionID: "public-r"}
	for _, id := range []string{"a", "b", "c"} {
		a.session(ines, id, nil)
	}
	a.session(root, "r", nil)
	a.session(root, "s", nil)

	if err := a.DeleteSession(ctx, db.Actor{Name: "ines", AccountID: ines.ID, SessionID: "public-a"}, []byte("a")); err != nil {
		t.Error(err)
	}
	if err := a.DeleteSession(ctx, db.Actor{Name: "ines"}, []byte("a")); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("sign out twice: got %v, want ErrNotFound", err)
	}
	if err := a.EndSession(ctx, by, "public-b", 0); err != nil {
		t.Error(err)
	}
	if err := a.EndSession(ctx, by, "public-b", 0); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("end a session twice: got %v, want ErrNotFound", err)
	}
	a.wantOpen("c", "r", "s")
	for _, want := range []int{1, 0} {
		if n, err := a.EndSessions(ctx, by, ines.ID); err != nil || n != want {
			t.Errorf("EndSessions: got %d, %v; want %d", n, err, want)
		}
	}
	if n, err := a.EndSessions(ctx, by, root.ID); err != nil || n != 1 {
		t.Errorf("EndSessions of oneself: got %d, %v; want 1, the other one", n, err)
	}
	a.wantOpen("r")
	got := a.deeds()[before:]
	want := []string{
		"ines 1 LOGOUT    ",
		"root 2 DELETE auditadmin.session public-b session of ines ",
		`root 2 UPDATE auditadmin.account 1 ines {"open_sessions":{"old":1,"new":0}}`,
		`root 2 UPDATE auditadmin.account 2 root {"open_sessions":{"old":1,"new":0}}`,
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("deeds: got %q, want %q", got, want)
		}
	}
}

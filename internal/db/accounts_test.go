package db_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	_ "github.com/mattn/go-sqlite3"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/internal/db"
)

// admin is a store on a file, with a clock that a test sets.
type admin struct {
	*db.Store
	t   *testing.T
	mu  sync.Mutex
	now time.Time
}

func newAdmin(t *testing.T) *admin {
	t.Helper()
	a := &admin{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	store, err := db.Open(t.Context(), db.Address(t, filepath.Join(t.TempDir(), "audit.db")), db.Options{Schema: auditadmin.Schema, StateDir: db.StateDir(t), Now: a.clock, Trace: db.Trace()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	a.Store = store
	return a
}

func (a *admin) clock() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

func (a *admin) sleep(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = a.now.Add(d)
}

func (a *admin) account(name string, role db.Role) *db.Account {
	a.t.Helper()
	acc, err := a.CreateAccount(a.t.Context(), db.CommandLine("root"), name, role, "hash of "+name)
	if err != nil {
		a.t.Fatal(err)
	}
	return acc
}

// rows reads the database as anybody's own tool would: one line a row.
func (a *admin) rows(query string) []string {
	a.t.Helper()
	driver, source := "sqlite3", "file:"+a.Path()+"?mode=ro"
	if strings.HasPrefix(a.Path(), "postgres://") {
		driver, source = "pgx", a.Path()
	}
	own, err := sqlx.Open(driver, source)
	if err != nil {
		a.t.Fatal(err)
	}
	defer own.Close()
	found, err := own.Queryx(query)
	if err != nil {
		a.t.Fatal(err)
	}
	defer found.Close()
	var lines []string
	for found.Next() {
		cells, err := found.SliceScan()
		if err != nil {
			a.t.Fatal(err)
		}
		lines = append(lines, strings.TrimSuffix(fmt.Sprintln(cells...), "\n"))
	}
	return lines
}

// deeds are the audit logs so far, oldest first.
func (a *admin) deeds() []string {
	a.t.Helper()
	return a.rows(`SELECT username, user_id, action, content_type, object_id, object_repr, coalesce(changes, '') FROM audit_log ORDER BY seq`)
}

func (a *admin) wantDeeds(want ...string) {
	a.t.Helper()
	got := a.deeds()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		a.t.Errorf("audit logs: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCheckName(t *testing.T) {
	long := strings.Repeat("é", 150)
	for name, want := range map[string]string{
		"ines": "ines", "  Ines Roth ": "Ines Roth", "o'hara@example.org": "o'hara@example.org", "李": "李", long: long,
		"": "", " \t": "", "a\nb": "", "a\x00": "", "in\u200bes": "", "ines\u202e": "", "\xff": "", long + "x": "",
		"cli (root)": "", "CLI (x": "", "token:abc": "", "Import:ndjson": "", "auditadmin": "", " AuditAdmin ": "", "auditadmin-shop": "auditadmin-shop",
	} {
		got, err := db.CheckName(name)
		if got != want || (err != nil) != (want == "") || err != nil && !errors.Is(err, db.ErrName) {
			t.Errorf("CheckName(%q): got %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestAccounts(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	root := a.account("Root", db.RoleSuperuser)
	ines := a.account(" Inès ", db.RoleViewer)

	if _, err := a.CreateAccount(ctx, db.Actor{}, "INE\u0300S", db.RoleViewer, "x"); !errors.Is(err, db.ErrExists) {
		t.Errorf("create the same name in other letters: got %v, want ErrExists", err)
	}
	if _, err := a.CreateAccount(ctx, db.Actor{}, "x", "owner", "x"); !errors.Is(err, db.ErrRole) {
		t.Errorf("create with a role that is none: got %v, want ErrRole", err)
	}
	if got, err := a.Account(ctx, "  inÈs"); err != nil || got.ID != ines.ID || got.Name != "Inès" {
		t.Errorf("Account in other letters: got %+v, %v; want %q", got, err, "Inès")
	}
	if _, err := a.Account(ctx, "nobody"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("Account of nobody: got %v, want ErrNotFound", err)
	}
	by := db.Actor{Name: "Root", AccountID: root.ID, Address: "192.0.2.7", UserAgent: "curl", RequestID: "r-1", SessionID: "s-1"}
	for _, err := range []error{
		a.SetRole(ctx, by, ines.ID, db.RoleResponder),
		a.SetRole(ctx, by, ines.ID, db.RoleResponder), // nothing changes, nothing is recorded
		a.SetPassword(ctx, by, ines.ID, "another hash"),
		a.SetDisabled(ctx, by, ines.ID, true),
		a.SetDisabled(ctx, by, ines.ID, true),
		a.SetDisabled(ctx, by, ines.ID, false),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := a.SetRole(ctx, by, 999, db.RoleViewer); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("SetRole of nobody: got %v, want ErrNotFound", err)
	}
	got, err := a.AccountByID(ctx, ines.ID)
	if err != nil || got.Role != db.RoleResponder || got.PasswordHash != "another hash" || got.Disabled || !got.CreatedAt.Equal(a.clock()) || !got.LastLoginAt.IsZero() {
		t.Errorf("AccountByID: got %+v, %v", got, err)
	}
	all, err := a.Accounts(ctx)
	if err != nil || len(all) != 2 || all[0].Name != "Inès" || all[1].Name != "Root" {
		t.Errorf("Accounts: got %v, %v; want Inès and Root", all, err)
	}
	a.wantDeeds(
		`cli (root)  CREATE auditadmin.account 1 Root {"role":{"old":null,"new":"superuser"}}`,
		`cli (root)  CREATE auditadmin.account 2 Inès {"role":{"old":null,"new":"viewer"}}`,
		`Root 1 PERMISSION_CHANGE auditadmin.account 2 Inès {"role":{"old":"viewer","new":"responder"}}`,
		`Root 1 PASSWORD_CHANGE auditadmin.account 2 Inès `,
		`Root 1 UPDATE auditadmin.account 2 Inès {"disabled":{"old":false,"new":true}}`,
		`Root 1 UPDATE auditadmin.account 2 Inès {"disabled":{"old":true,"new":false}}`,
	)
	where := a.rows("SELECT DISTINCT ip_address, user_agent, request_id, session_key, module, source FROM audit_log WHERE user_id = '1'")
	if len(where) != 1 || where[0] != "192.0.2.7 curl r-1 s-1 auditadmin auditadmin" {
		t.Errorf("from where: got %q", where)
	}
	if leaks := a.rows("SELECT * FROM audit_log WHERE changes LIKE '%hash%' OR metadata LIKE '%hash%' OR object_repr LIKE '%hash%'"); len(leaks) > 0 {
		t.Errorf("hashes in audit logs: %q", leaks)
	}
}

func TestRehashKeepsAPasswordThatWasChangedMeanwhile(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	ines := a.account("ines", db.RoleViewer)
	for _, c := range []struct{ old, want string }{{"not the one", "hash of ines"}, {"hash of ines", "stronger"}} {
		if err := a.RehashPassword(ctx, ines.ID, c.old, "stronger"); err != nil {
			t.Fatal(err)
		}
		if got, err := a.AccountByID(ctx, ines.ID); err != nil || got.PasswordHash != c.want {
			t.Errorf("rehash of %q: got %q, %v; want %q", c.old, got.PasswordHash, err, c.want)
		}
	}
	a.wantDeeds(`cli (root)  CREATE auditadmin.account 1 ines {"role":{"old":null,"new":"viewer"}}`)
}

func TestTheLastSuperuserStays(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	one, two := a.account("one", db.RoleSuperuser), a.account("two", db.RoleSuperuser)
	off := a.account("off", db.RoleSuperuser)
	if err := a.SetDisabled(ctx, db.Actor{}, off.ID, true); err != nil {
		t.Fatal(err)
	}
	for round := range 10 { // both at once: exactly one may succeed
		errs := make(chan error, 2)
		for _, id := range []int64{one.ID, two.ID} {
			go func() {
				if round%2 == 0 {
					errs <- a.SetRole(ctx, db.Actor{}, id, db.RoleViewer)
				} else {
					errs <- a.SetDisabled(ctx, db.Actor{}, id, true)
				}
			}()
		}
		first, second := <-errs, <-errs
		if (first == nil) == (second == nil) || !errors.Is(errors.Join(first, second), db.ErrLastOne) {
			t.Fatalf("round %d: got %v and %v, want one ErrLastOne", round, first, second)
		}
		for _, id := range []int64{one.ID, two.ID} {
			if err := errors.Join(a.SetRole(ctx, db.Actor{}, id, db.RoleSuperuser), a.SetDisabled(ctx, db.Actor{}, id, false)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestPeopleOnPostgreSQL runs what is about people and programs that sign in once
// more, on PostgreSQL.
func TestPeopleOnPostgreSQL(t *testing.T) {
	db.OnPostgres(t)
	for name, test := range map[string]func(*testing.T){
		"accounts": TestAccounts, "rehash": TestRehashKeepsAPasswordThatWasChangedMeanwhile, "last superuser": TestTheLastSuperuserStays,
		"sessions": TestSessions, "ending sessions": TestEndingSessions, "tokens": TestTokens, "throttle": TestThrottleIsChargedOneAfterTheOther,
	} {
		t.Run(name, test)
	}
}

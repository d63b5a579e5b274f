package db

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// underRoles makes the tests that follow within t run on a server whose databases
// have the roles, as the login that may take them.
func underRoles(t *testing.T) {
	t.Helper()
	p := startPostgres(t)
	text, err := RolesSQL(p.url("template_audit"), "auditadmin")
	if err != nil {
		t.Fatal(err)
	}
	runScript(t, p.url("template_audit"), text)
	p.template.User = url.User("auditadmin")
	onPostgres = p
	t.Cleanup(func() { onPostgres = nil })
}

// runScript executes statements as psql does.
func runScript(t *testing.T, at, text string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context()))
	if _, err := c.PgConn().Exec(t.Context(), text).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// mainPaths is what of the suite goes through the store alone, and not past it.
var mainPaths = []func(*testing.T){
	TestVerifyFindsNothingWhereNothingIsWrong, TestCheckpointsGoOn, TestStrangeText,
	TestLotsFollowTheLedger, TestPurge, TestHolds, TestPurgeKeepsFreshTraces, TestPurgedIDsAreNobodys, TestRedactionGoesWithItsEvent,
	TestRetention, TestClaimRetention, TestTwins, TestDeletedTwinStaysDuplicate, TestDeleteLeavesTraces,
	TestResolveAndReopen, TestTwoPrograms, TestManyCallersOneCommit, TestDownloadsAreCountedInTheLedger, postgresMonths, postgresPrunes, postgresLostCommit,
	postgresDefault, postgresPurgeDropsMonths, postgresPurgeIsInterrupted, postgresPurgeWaitsForReaders,
}

// TestRoles runs the suite's main paths with nothing but the rights of the roles,
// and holds what each role is refused.
func TestRoles(t *testing.T) {
	underRoles(t)
	for _, test := range mainPaths {
		t.Run(nameOf(test), test)
	}
	t.Run("people", rolesOfPeople)
	t.Run("refused", rolesRefuse)
	t.Run("months", rolesMakeMonths)
	t.Run("replaced", rolesAgain)
	t.Run("reader", rolesOfAReader)
}

// rolesOfPeople does what accounts, tokens and sessions need.
func rolesOfPeople(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	if s.dialect.(*postgresDialect).roles != (pgRoles{pgRoleRead, pgRoleAppend, pgRoleSuperuser}) {
		t.Fatalf("got the roles %+v: the tests show nothing", s.dialect.(*postgresDialect).roles)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	a, err := s.CreateAccount(ctx, ines, "vera", RoleSuperuser, "hash")
	must(err)
	_, err = s.CreateAccount(ctx, ines, "sam", RoleSuperuser, "hash")
	must(err)
	_, _, err = s.ChargeThrottle(ctx, AccountKey("vera"), func(th Throttle) (Throttle, bool) { th.Failures++; th.SeenAt = noon; return th, true })
	must(err)
	must(s.CreateChallenge(ctx, ines, []byte("half"), a, "password", noon.Add(time.Minute)))
	must(s.CreateSession(ctx, ines, SignIn{IDHash: []byte("id"), Challenge: []byte("half"), Account: a, Method: "password", Max: 5,
		Session: &Session{PublicID: "p", CreatedAt: noon, SeenAt: noon, ExpiresAt: noon.Add(time.Hour)}}))
	_, _, err = s.Session(ctx, []byte("id"))
	must(err)
	must(s.RehashPassword(ctx, a.ID, "hash", "hash2"))
	must(s.SetFactor(ctx, ines, a.ID, "secret", 7, [][]byte{[]byte("one")}))
	if ok, err := s.AcceptCode(ctx, a.ID, "secret", 8); err != nil || !ok {
		t.Errorf("accept a code: %v, %v", ok, err)
	}
	if ok, err := s.UseRecoveryCode(ctx, a.ID, []byte("one")); err != nil || !ok {
		t.Errorf("use a recovery code: %v, %v", ok, err)
	}
	must(s.SetRecoveryCodes(ctx, ines, a.ID, [][]byte{[]byte("two")}))
	must(s.RemoveFactor(ctx, ines, a.ID))
	must(s.SetPassword(ctx, ines, a.ID, "hash3"))
	must(s.SetRole(ctx, ines, a.ID, RoleViewer))
	must(s.SetDisabled(ctx, ines, a.ID, true))
	_, err = s.IssuedAccount(ctx, ines, "https://issuer.example", "1", "otto", RoleViewer)
	must(err)
	token, err := s.CreateToken(ctx, ines, "ci", "ingest", []byte("secret"), time.Time{})
	must(err)
	must(s.TouchToken(ctx, token.ID))
	must(s.RevokeToken(ctx, ines, token.ID))
	mustAppend(t, s, event(t))
	id := mustList(t, mustSelect(t, s, audit.KindAuditLog, "user:alice"), Page{Limit: 1}).Items[0].ID
	must(s.Redact(ctx, ines, audit.KindAuditLog, id, "username", "asked for"))
	must(s.HandOut(ctx, ines, audit.KindAuditLog, "one event"))
	if _, err := s.BeginEvidence(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.Checkpoint(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.RotateKey(ctx, ines); err != nil {
		t.Error(err)
	}
	if _, err := s.Health(ctx); err != nil {
		t.Error(err)
	}
	if v, err := s.Verify(ctx, VerifyOptions{}); err != nil || !v.Holds() {
		t.Errorf("got %+v, %v", v, err)
	}
}

// rolesRefuse: what a role is not for is refused by the server.
func rolesRefuse(t *testing.T) {
	s := openTest(t)
	mixture(t, s, 300, 3)
	decisions(t, s)
	if _, err := s.CreateAccount(t.Context(), ines, "vera", RoleSuperuser, "hash"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.BeginEvidence(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []string // that no role may
	for _, table := range []string{"audit_log", "login_attempt", "data_export", "system_event"} {
		all = append(all, "UPDATE "+table+" SET timestamp = 'x'", "UPDATE "+table+" SET id = 1", "UPDATE "+table+" SET seq = 1", "UPDATE "+table+" SET recorded_at = 'x'",
			"UPDATE "+table+" SET event_id = 'x'", "UPDATE "+table+" SET source = 'x'", "TRUNCATE "+table, "DROP TABLE "+table, "DELETE FROM "+table+"_default", "ALTER TABLE "+table+" ADD x bigint")
	}
	for _, table := range []string{"ledger", "tombstone", "purge", "incarnation"} {
		all = append(all, "DELETE FROM "+table, "UPDATE "+table+" SET seq = 1", "TRUNCATE "+table)
	}
	all = append(all, "DELETE FROM head", "DELETE FROM account", "UPDATE system_event SET event_type = 'INFO'", "CREATE TABLE mine (id bigint)",
		"DELETE FROM hold", "UPDATE hold SET query = 'x'", "UPDATE token SET secret_hash = 'x'", "DELETE FROM token", "SELECT lock_month('ledger', '2026-09-01')", "SELECT * FROM unplaced('account')",
		"ALTER TABLE meta DISABLE ROW LEVEL SECURITY", "SELECT * FROM audit_log_default", "SELECT make_month('account', '2026-01-01')", "SELECT tell_months('account')",
		"INSERT INTO meta (key, value) VALUES ('mask_key', 'x') ON CONFLICT (key) DO UPDATE SET value = excluded.value", "INSERT INTO meta (key, value) VALUES ('application', 'x')")
	appending := []string{"INSERT INTO tombstone SELECT * FROM tombstone", "INSERT INTO redaction SELECT * FROM redaction", "UPDATE redaction SET seq = 1", "DELETE FROM redaction",
		"INSERT INTO purge SELECT * FROM purge", "INSERT INTO hold (id) VALUES (1)", "UPDATE hold SET released_at = 'x'", "INSERT INTO setting (key) VALUES ('x')", "DELETE FROM setting",
		"INSERT INTO account (id) VALUES (9)", "UPDATE account SET password_hash = 'x'", "UPDATE account SET role = 'superuser'", "UPDATE account SET disabled = 0", "UPDATE account SET code_secret = 'x'",
		"INSERT INTO recovery_code SELECT * FROM recovery_code", "DELETE FROM recovery_code", "INSERT INTO token (id) VALUES (1)", "UPDATE token SET revoked_at = 'x'", "UPDATE token SET scope = 'read'",
		"DELETE FROM checkpoint", "UPDATE system_event SET resolved = 1", "UPDATE audit_log SET username = 'x'", "UPDATE audit_log SET seed = NULL", "UPDATE ledger SET note = 'x'",
		"SELECT drop_month('audit_log', '2026-09-01')", "SELECT lock_month('audit_log', '2026-09-01')", "SELECT place_purges(1)"}
	for _, table := range []string{"audit_log", "login_attempt", "data_export", "system_event"} {
		appending = append(appending, "DELETE FROM "+table)
	}
	reading := []string{"SELECT * FROM account", "SELECT password_hash FROM account", "SELECT * FROM session", "SELECT * FROM challenge", "SELECT * FROM recovery_code", "SELECT * FROM token", "SELECT * FROM throttle",
		"INSERT INTO ledger SELECT * FROM ledger", "UPDATE head SET seq = 1", "SELECT * FROM head FOR UPDATE", "INSERT INTO meta (key, value) VALUES ('x', 'y')", "UPDATE meta SET value = 'x'",
		"INSERT INTO audit_log SELECT * FROM audit_log", "DELETE FROM tile", "DELETE FROM search_lot", "INSERT INTO checkpoint SELECT * FROM checkpoint", "SELECT make_month('audit_log', '2031-01-01')", "SELECT tell_months('audit_log')"}
	appending = append(all, appending...)
	reading = append(appending[:len(appending):len(appending)], reading...)

	login := s.dialect.(*postgresDialect).pool(1, "", pgPatience, nil)
	defer login.Close()
	for role, statements := range map[string][]string{
		"": append(reading[:len(reading):len(reading)], "SELECT * FROM audit_log", "SELECT * FROM ledger"), pgRoleRead: reading, pgRoleAppend: appending, pgRoleSuperuser: all,
	} {
		for _, statement := range statements {
			if err := attempt(t, login, role, statement); err == nil {
				t.Errorf("%q may: %s", role, statement)
			} else if text := err.Error(); !strings.Contains(text, "42501") && !strings.Contains(text, "22023") {
				t.Errorf("%q: %s: got %v, want a refusal", role, statement, err)
			}
		}
	}
	if err := attempt(t, login, pgRoleSuperuser, "DELETE FROM checkpoint"); err != nil {
		t.Errorf("checkpoints cannot be thinned: %v", err)
	}
	// A policy refuses by showing nothing.
	for role, want := range map[string]int{pgRoleRead: 0, pgRoleAppend: 1} {
		var n int
		pool := s.dialect.(*postgresDialect).pool(1, role, pgPatience, nil)
		if err := pool.Get(&n, "SELECT count(*) FROM meta WHERE key = 'mask_key'"); err != nil || n != want {
			t.Errorf("%s sees %d keys of the masks, %v, want %d", role, n, err, want)
		}
		pool.Close()
	}
	var changed int
	err := s.rw.Get(&changed, "WITH c AS (UPDATE meta SET value = 'x' WHERE key IN ('mask_key', 'application', 'schema') RETURNING 1) SELECT count(*) FROM c")
	if err != nil || changed != 0 {
		t.Errorf("%d values that say which database it is were changed, %v", changed, err)
	}
}

// attempt executes a statement as a role, and takes it back.
func attempt(t *testing.T, db *sqlx.DB, role, statement string) error {
	t.Helper()
	tx, end, err := begin(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if role != "" {
		if _, err := tx.Exec("SET LOCAL ROLE " + role); err != nil {
			t.Fatal(err)
		}
	}
	_, err = tx.Exec(statement)
	return err
}

// rolesMakeMonths: the functions do what the owner may, and are the owner's.
func rolesMakeMonths(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t, "timestamp", "2021-02-03T00:00:00Z"))
	count := func(statement string) (n int) {
		t.Helper()
		if err := s.ro.Get(&n, statement); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if count("SELECT count(*) FROM pg_class WHERE relname = 'audit_log_2021_02'") != 1 {
		t.Error("the month of an event was not made")
	}
	if count("SELECT count(DISTINCT relowner) FROM pg_class WHERE relname LIKE 'audit_log%' AND relkind IN ('r', 'p')") != 1 {
		t.Error("the month has another owner than its table")
	}
	tx, end, err := begin(t.Context(), s.rw)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	var dropped bool
	if err := s.dialect.superuser(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	if err := tx.Get(&dropped, "SELECT drop_month('audit_log', '2021-02-03')"); err != nil || !dropped {
		t.Errorf("drop a month: %v, %v", dropped, err)
	}
	if err := tx.Get(&dropped, "SELECT drop_month('audit_log', '2021-02-03')"); err != nil || dropped {
		t.Errorf("drop it again: %v, %v", dropped, err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if count("SELECT count(*) FROM pg_class WHERE relname = 'audit_log_2021_02'") != 0 {
		t.Error("the month is there still")
	}
}

// rolesAgain: the statements may be executed again.
func rolesAgain(t *testing.T) {
	at, err := url.Parse(address(t, t.TempDir()+"/audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.User("postgres")
	text, err := RolesSQL(at.String(), "another one")
	if err != nil {
		t.Fatal(err)
	}
	runScript(t, at.String(), text)
	runScript(t, at.String(), text)
	at.User = url.User("another one")
	s, err := Open(t.Context(), at.String(), Options{Schema: auditadmin.Schema, StateDir: stateDir(t), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustAppend(t, s, event(t))
}

// rolesOfAReader: a login that may only read sees what commands show, and is told
// why it can do nothing else.
func rolesOfAReader(t *testing.T) {
	s := openTest(t)
	mustAppend(t, s, event(t))
	at, err := url.Parse(address(t, s.path))
	if err != nil {
		t.Fatal(err)
	}
	admin := *at
	admin.User = url.User("postgres")
	if _, err := pgtest.Open(t, admin.String()).Exec("CREATE ROLE looker LOGIN NOINHERIT; GRANT auditadmin_read TO looker"); err != nil {
		t.Fatal(err)
	}
	at.User = url.User("looker")
	o := Options{Schema: auditadmin.Schema, StateDir: t.TempDir(), Now: func() time.Time { return noon }, ReadOnly: true}
	r, err := Open(t.Context(), at.String(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := Open(t.Context(), at.String(), Options{Schema: auditadmin.Schema, StateDir: t.TempDir()}); err == nil {
		t.Error("it was opened for writing")
	}
	var name string
	if err := r.ro.Get(&name, "SELECT username FROM audit_log"); err != nil || name != "alice" {
		t.Errorf("got %q, %v", name, err)
	}
}

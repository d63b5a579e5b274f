package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
)

// placeTest opens databases of both engines, with one folder for what lies beside
// those on a server.
type placeTest struct {
	*testing.T
	server *pgServer
	folder string
	state  string
}

func newPlaceTest(t *testing.T) *placeTest {
	return &placeTest{t, startPostgres(t), t.TempDir(), t.TempDir()}
}

func (t *placeTest) file(name string) string     { return filepath.Join(t.folder, name+".db") }
func (t *placeTest) onServer(name string) string { return t.server.address(t, name) }

func (t *placeTest) options() Options {
	return Options{Schema: auditadmin.Schema, StateDir: t.state, Now: func() time.Time { return noon }}
}

func (t *placeTest) open(path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, t.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// mustCopy copies in pages of few rows, so that there are many of them.
func (t *placeTest) mustCopy(from *Store, to string, progress func(string, int64, int64)) *Copied {
	t.Helper()
	got, err := t.copy(t.Context(), from, to, progress)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Exact() {
		t.Fatalf("the copy differs in %v and %d more, roots %v and %v", got.Differences, got.More, got.Root, got.Copy)
	}
	if !got.Verdict.Holds() || got.Verdict.Root != got.Copy {
		t.Fatalf("the evidence of the copy has the problems %v, and the root %v; want none, and %v", got.Verdict.Problems, got.Verdict.Root, got.Copy)
	}
	for _, table := range got.Tables {
		if table.Rows != table.CopyRows || table.Checksum != table.CopySum {
			t.Errorf("got %+v, want the same on both sides", table)
		}
	}
	return got
}

func (t *placeTest) copy(ctx context.Context, from *Store, to string, progress func(string, int64, int64)) (*Copied, error) {
	o := t.options()
	o.copying = 60
	return Copy(ctx, from, to, o, ines, progress)
}

// busy is somebody who works with a database: all that can be done to it is done, at
// random.
type busy struct {
	t *placeTest
	s *Store
	r *rand.Rand
	n int
}

func newBusy(t *placeTest, s *Store, seed uint64) *busy {
	return &busy{t: t, s: s, r: rand.New(rand.NewPCG(seed, 9))}
}

// all does everything once, and steps more.
func (b *busy) all(steps int) {
	for what := range len(b.deeds()) {
		b.do(what)
	}
	for range steps {
		b.do(b.r.IntN(len(b.deeds())))
	}
}

func (b *busy) do(what int) {
	b.t.Helper()
	b.n++
	if err := b.deeds()[what](); err != nil && !errors.Is(err, ErrHeld) && !errors.Is(err, ErrProtected) && !errors.Is(err, ErrConflict) {
		b.t.Fatalf("deed %d: %v", what, err)
	}
}

// some returns an event of a kind, nil if there is none.
func (b *busy) some(kind audit.Kind, q string) *Stored {
	b.t.Helper()
	items := mustList(b.t, mustSelect(b.t, b.s, kind, q), Page{Limit: 1000}).Items
	if len(items) == 0 {
		return nil
	}
	return items[b.r.IntN(len(items))]
}

func (b *busy) kind() audit.Kind { return audit.Kinds()[b.r.IntN(len(audit.Kinds()))] }

func (b *busy) deeds() []func() error {
	ctx, s := b.t.Context(), b.s
	name := func(what string) string { return fmt.Sprint(what, "-", b.r.Uint64()) }
	return []func() error{
		func() error {
			mixture(b.t, s, 20+b.r.IntN(60), b.r.Uint64())
			return nil
		},
		func() error { // many in one microsecond, in a month of long ago, and JSON that no float holds
			var all []*audit.Event
			at := audit.FormatTime(time.Date(2020+b.r.IntN(3), time.Month(1+b.r.IntN(12)), 1, 0, 0, 0, 0, time.UTC))
			for i := range 1030 {
				all = append(all, event(b.t, "timestamp", at, "event_id", name("run"), "object_id", fmt.Sprint(i), "reason", "\u2400 Grüße 🎉",
					"metadata", `{"n":123456789012345678901234567890.10, "e" : 1e400}`))
			}
			mustAppend(b.t, s, all...)
			return nil
		},
		func() error {
			if e := b.some(audit.KindSystemEvent, "is:unresolved"); e != nil {
				_, err := s.Resolve(ctx, ines, []int64{e.ID}, "seen")
				return err
			}
			return nil
		},
		func() error {
			if e := b.some(audit.KindSystemEvent, "is:resolved"); e != nil {
				return s.Reopen(ctx, ines, e.ID, "again")
			}
			return nil
		},
		func() error {
			kind := b.kind()
			if e := b.some(kind, ""); e != nil {
				_, err := s.Delete(ctx, ines, kind, []int64{e.ID}, "asked for")
				return err
			}
			return nil
		},
		func() error { // one field of it, or two, and sometimes the whole event afterwards
			kind := b.kind()
			e := b.some(kind, "")
			if e == nil {
				return nil
			}
			for range 1 + b.r.IntN(2) {
				f := kind.Fields()[b.r.IntN(len(kind.Fields()))]
				if !Redactable(f) || e.Get(f.Name) == "" {
					continue
				}
				if err := s.Redact(ctx, ines, kind, e.ID, f.Name, "request 12"); err != nil {
					return err
				}
			}
			if b.r.IntN(4) == 0 {
				_, err := s.Delete(ctx, ines, kind, []int64{e.ID}, "after all")
				return err
			}
			return nil
		},
		func() error {
			id := name("export")
			mustAppend(b.t, s, eventOf(b.t, audit.KindDataExport, "timestamp", audit.FormatTime(noon), "export_type", "Orders", "event_id", id))
			for range b.r.IntN(3) {
				mustAppend(b.t, s, event(b.t, "action", "EXPORT", "content_type", "data_export", "object_id", id, "event_id", name("download"), "metadata", `{"download":true}`))
			}
			return nil
		},
		func() error {
			before := time.Date(2020+b.r.IntN(3), time.Month(1+b.r.IntN(12)), 2, 0, 0, 0, 0, time.UTC)
			if b.r.IntN(4) == 0 {
				before = noon.Add(-time.Hour + time.Duration(b.r.IntN(60))*time.Microsecond)
			}
			_, err := s.Purge(ctx, ines, PurgeJob{Kind: b.kind(), Before: before, Reason: "old"})
			return err
		},
		func() error {
			id, err := s.Hold(ctx, ines, "", "user:"+name("held"), "a case")
			if err == nil && b.r.IntN(2) == 0 {
				err = s.Release(ctx, ines, id, "closed")
			}
			return err
		},
		func() error {
			account, err := s.CreateAccount(ctx, ines, name("somebody"), RoleViewer, "hash")
			if err == nil && b.r.IntN(2) == 0 {
				err = s.SetFactor(ctx, ines, account.ID, "sealed", 7, [][]byte{[]byte(name("code")), []byte(name("code"))})
			}
			return err
		},
		func() error {
			token, err := s.CreateToken(ctx, ines, "ci", "ingest", []byte(name("secret")), time.Time{})
			if err == nil {
				err = s.TouchToken(ctx, token.ID)
			}
			return err
		},
		func() error {
			return s.SetRetention(ctx, ines, Retention{Days: map[audit.Kind]int{b.kind(): 100 + b.r.IntN(100)}})
		},
		func() error {
			_, err := s.Checkpoint(ctx)
			return err
		},
		func() error {
			_, err := s.RotateKey(ctx, ines)
			return err
		},
		func() error { return s.HandOut(ctx, ines, audit.KindAuditLog, "everything") },
	}
}

// tablesOf reads all that a copy should have, with statements of its own.
func tablesOf(t testing.TB, s *Store) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, table := range []string{"audit_log", "login_attempt", "data_export", "system_event", "ledger", "tombstone", "redaction", "purge", "hold", "incarnation",
		"checkpoint", "setting", "account", "recovery_code", "token", "meta"} {
		var rows []string
		err := eachRow(t.Context(), s.worker(), "SELECT * FROM "+table, nil, func(row scanner) error {
			values, err := row.(interface{ SliceScan() ([]any, error) }).SliceScan()
			text := fmt.Sprintf("%#v", values)
			own := false
			for _, key := range []string{"application", "schema", "copy", "copied", "written", "backup", "search:"} {
				own = own || table == "meta" && strings.HasPrefix(text, `[]interface {}{"`+key)
			}
			if !own {
				rows = append(rows, text)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(rows)
		all[table] = rows
	}
	return all
}

// same checks that two databases hold and answer the same.
func (t *placeTest) same(a, b *Store) {
	t.Helper()
	if diff := cmp.Diff(tablesOf(t, a), tablesOf(t, b)); diff != "" {
		t.Fatalf("the rows differ (-%s +%s):\n%s", a.Path(), b.Path(), diff)
	}
	for _, kind := range audit.Kinds() {
		for _, q := range []string{"alice", "Grüße", "long"} { // how far a frequent text is counted depends on how its index has grown
			var found [2][]int64
			for i, s := range []*Store{a, b} {
				for _, e := range mustList(t, mustSelect(t, s, kind, q), Page{Limit: 50}).Items {
					found[i] = append(found[i], e.ID)
				}
			}
			if !slices.Equal(found[0], found[1]) {
				t.Errorf("%s %q: got %v of %s and %v of %s", kind, q, found[0], a.Path(), found[1], b.Path())
			}
		}
		for _, q := range []string{"", "-user:alice", "on:2020"} {
			if diff := cmp.Diff(answerOf(t.T, a, kind, q), answerOf(t.T, b, kind, q)); diff != "" {
				t.Errorf("%s %q (-%s +%s):\n%s", kind, q, a.Path(), b.Path(), diff)
			}
		}
		for _, e := range mustList(t, mustSelect(t, a, kind, ""), Page{Limit: 100}).Items {
			x, errX := a.Decisions(t.Context(), kind, e.ID)
			y, errY := b.Decisions(t.Context(), kind, e.ID)
			if diff := cmp.Diff(x, y); diff != "" || errX != nil || errY != nil {
				t.Errorf("the story of %s %d: %v, %v\n%s", kind, e.ID, errX, errY, diff)
			}
		}
	}
}

// TestCopy copies a database with something of everything from a file to a server
// and back, and to another file, while everything that can happen happens to the
// source; what it missed the same command takes later.
func TestCopy(t *testing.T) {
	p := newPlaceTest(t)
	s := p.open(p.file("first"))
	mixture(t, s, 700, 1)
	for i, to := range []string{p.onServer("second"), p.onServer("third"), p.file("fourth"), p.file("fifth")} {
		if _, err := s.BeginEvidence(t.Context()); err != nil {
			t.Fatal(err)
		}
		work := newBusy(p, s, uint64(i))
		work.all(10)
		calls, during := 0, 0
		got := p.mustCopy(s, to, func(what string, _, _ int64) {
			if calls++; calls%4 == 0 && during < 25 && what != "indexing" {
				during++
				work.do(work.r.IntN(len(work.deeds())))
			}
		})
		if during < 10 || !got.Recorded {
			t.Errorf("%d things were done meanwhile, and the copy was recorded: %v", during, got.Recorded)
		}
		if got := p.mustCopy(s, to, nil); got.Behind != 0 { // what was done while the rows were compared
			t.Errorf("%d entries are missing of a source that is quiet", got.Behind)
		}
		next := p.open(to)
		p.same(s, next)
		p.goesOn(s, next)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = next
	}
}

// goesOn checks that a copy goes on as its source would: twins are twins, new
// events get the same places, and it says that it is a copy.
func (t *placeTest) goesOn(s, copied *Store) {
	t.Helper()
	for _, kind := range audit.Kinds() {
		var twins []*audit.Event
		for _, e := range everything(t, s, kind) {
			if e.EventID != "" && e.Source != Self {
				twins = append(twins, e.Event)
			}
		}
		if got := mustAppend(t, copied, twins...); got.Accepted != 0 || got.Duplicates != len(twins) {
			t.Errorf("got %+v of %d %s that are there, want duplicates", got, len(twins), kind)
		}
	}
	for _, at := range []string{"2020-01-01T00:00:00Z", "2021-06-01T00:00:00Z", audit.FormatTime(noon.Add(-time.Hour))} {
		e := event(t, "timestamp", at, "object_id", "new "+at)
		var ids []int64
		for _, x := range []*Store{s, copied} {
			mustAppend(t, x, e)
			var id int64
			if err := x.back.Get(&id, "SELECT id FROM audit_log WHERE object_id = ?", "new "+at); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		if ids[0] != ids[1] {
			t.Errorf("an event of %s is %d in the source and %d in the copy", at, ids[0], ids[1])
		}
	}
	if _, err := t.copy(t.Context(), s, copied.address(t), nil); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "gone on by itself") {
		t.Errorf("got %v of a copy that went on by itself, want ErrExists that says so", err)
	}
	keys, err := os.ReadFile(KeyPath(s.Beside()))
	if err == nil {
		err = os.WriteFile(KeyPath(copied.Beside()), keys, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	public, err := copied.PublicKeys()
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := copied.BeginEvidence(t.Context())
	if err != nil || fresh == nil || !strings.HasPrefix(fresh.Reason, "restored from the copy of "+s.Path()+" of ") {
		t.Fatalf("got %+v, %v, want a new incarnation that names %s", fresh, err, s.Path())
	}
	if v, err := copied.Verify(t.Context(), VerifyOptions{PublicKeys: public}); err != nil || !v.Holds() || v.Signed == 0 {
		t.Errorf("got %+v, %v, want evidence that holds, with the signatures of before", v, err)
	}
}

// address is how the database is opened once more.
func (s *Store) address(t *placeTest) string {
	if s.dialect.embedded() {
		return s.path
	}
	return t.server.url(s.dialect.(*postgresDialect).config.Database)
}

// TestCopyGoesOn breaks copies off again and again, while the source goes on. In the
// end they are whole; before that nobody else can open them.
func TestCopyGoesOn(t *testing.T) {
	p := newPlaceTest(t)
	for round, to := range []string{p.onServer("on a server"), p.file("a file")} {
		s := p.open(p.file(fmt.Sprint("source", round)))
		if _, err := s.BeginEvidence(t.Context()); err != nil {
			t.Fatal(err)
		}
		mixture(t, s, 1500, 3)
		work := newBusy(p, s, uint64(round))
		work.all(20)
		broken, refused := 0, 0
		for whole := false; !whole; {
			ctx, cancel := context.WithCancel(t.Context())
			left := 1 + work.r.IntN(25)
			got, err := p.copy(ctx, s, to, func(what string, _, _ int64) {
				if left--; left == 0 && broken < 25 && what != "indexing" {
					cancel()
				}
			})
			cancel()
			switch {
			case err == nil:
				whole = got.Exact() && got.Verdict.Holds()
				if !whole {
					t.Fatalf("got %+v", got)
				}
			case !errors.Is(err, context.Canceled):
				t.Fatal(err)
			default:
				broken++
				if other, err := Open(t.Context(), to, p.options()); errors.Is(err, ErrUnfinished) && strings.Contains(err.Error(), s.Path()) {
					refused++
				} else if err != nil {
					t.Fatal(err)
				} else {
					other.Close() // broken off before its first row, or after its last
				}
				work.do(work.r.IntN(len(work.deeds())))
			}
		}
		if broken < 5 || refused < 5 {
			t.Errorf("%d copies were broken off and %d of them refused: the test shows nothing", broken, refused)
		}
		p.mustCopy(s, to, nil)
		p.same(s, p.open(to))
	}
}

// TestCopyRefuses leaves alone what is no place for a copy, and says why.
func TestCopyRefuses(t *testing.T) {
	p := newPlaceTest(t)
	s := p.open(p.file("source"))
	mixture(t, s, 300, 1)
	broken := func(from *Store, to string) {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		if _, err := p.copy(ctx, from, to, func(string, int64, int64) {
			if n++; n == 3 {
				cancel()
			}
		}); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
	for name, place := range map[string]func(string) string{"file": p.file, "server": p.onServer} {
		used, account, foreign, other := place("used"), place("account"), place("foreign"), place("other")
		in := p.open(used)
		mustAppend(t, in, event(t))
		if _, err := p.open(account).CreateAccount(t.Context(), ines, "ada", RoleViewer, "hash"); err != nil {
			t.Fatal(err)
		}
		another := p.open(p.file("another" + name))
		mixture(t, another, 300, 2)
		broken(another, other)
		if name == "file" {
			if err := os.WriteFile(foreign, []byte("Buy milk."), 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			s := p.open(foreign)
			if _, err := s.rw.Exec("DELETE FROM meta WHERE key = 'application'"); err != nil {
				t.Fatal(err)
			}
			s.Close()
		}
		for _, c := range []struct {
			to   string
			want error
			says string
		}{
			{used, ErrExists, "it has rows of audit_log"}, {account, ErrExists, "it has rows of "}, {foreign, ErrForeign, ""},
			{other, ErrExists, "a copy of another database, " + another.Path()}, {s.Path(), nil, "the same database"},
		} {
			if _, err := p.copy(t.Context(), s, c.to, nil); err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: got %v, want %v that says %q", name, err, c.want, c.says)
			}
		}
		if n := countAll(t, in, audit.KindAuditLog, ""); n != 1 {
			t.Errorf("the database in use has %d events, want its one", n)
		}
		p.mustCopy(another, other, nil)

		// A source that went back in time is not the one that was copied.
		begun := place("begun")
		again := p.file("again" + name)
		if _, err := s.Backup(t.Context(), ines, again, nil); err != nil {
			t.Fatal(err)
		}
		mixture(t, s, 400, 7+uint64(len(name)))
		p.mustCopy(s, begun, nil)
		if _, err := p.copy(t.Context(), p.open(again), begun, nil); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "gone on by itself") {
			t.Errorf("%s: got %v of a source that went back, want ErrExists", name, err)
		}
	}
	if n := countAll(t, s, audit.KindAuditLog, "action:COPY"); n != 2 {
		t.Errorf("%d copies are recorded, want the two that began", n)
	}

	// Who may only read can copy all the same; a row that the ledger does not know is copied too.
	if _, err := s.rw.Exec("INSERT INTO login_attempt SELECT id + 1, seq, timestamp, recorded_at, source, event_id, 'mallory', status, ip_address, country, city, session_key, request_id," +
		" failure_reason, user_agent, metadata, seed FROM login_attempt ORDER BY id DESC LIMIT 1"); err != nil {
		t.Fatal(err)
	}
	o := p.options()
	o.ReadOnly = true
	reader, err := Open(t.Context(), s.Path(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	got, err := p.copy(t.Context(), reader, p.onServer("read"), nil)
	if err != nil || !got.Exact() || got.Recorded || len(got.Verdict.Problems) != 1 || got.Verdict.Problems[0].Trouble != Inserted {
		t.Errorf("got %+v, %v; want an exact copy without a record, with the one problem of its source", got, err)
	}
}

// TestCopyIntoWhatCannotBeRead: a target that cannot be looked at is not said to hold
// something.
func TestCopyIntoWhatCannotBeRead(t *testing.T) {
	to, err := Open(t.Context(), filepath.Join(t.TempDir(), "copy.db"), Options{Schema: auditadmin.Schema, copying: wholeRows})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := to.rw.Exec("CREATE TEMP VIEW hold AS SELECT 1 AS id"); err != nil { // for the connection that writes alone
		t.Fatal(err)
	}
	c := &copier{ctx: t.Context(), from: openTest(t), to: to, rowsAtOnce: wholeRows, progress: func(string, int64, int64) {}}
	if err := c.begin(); err == nil || errors.Is(err, ErrExists) {
		t.Errorf("got %v, want why it cannot be read", err)
	}
}

// TestCopyUnderRoles copies to a server whose databases have the roles, goes on there
// as the owner, and copies from it as the login that serves.
func TestCopyUnderRoles(t *testing.T) {
	p := newPlaceTest(t)
	s := p.open(p.file("source"))
	if _, err := s.BeginEvidence(t.Context()); err != nil {
		t.Fatal(err)
	}
	mixture(t, s, 300, 1)
	to := p.onServer("roles")
	p.mustCopy(s, to, nil)
	text, err := RolesSQL(to, "auditadmin")
	if err != nil {
		t.Fatal(err)
	}
	runScript(t, to, text)
	newBusy(p, s, 1).all(5)
	p.mustCopy(s, to, nil)
	login, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	login.User = url.User("auditadmin")
	served := p.open(login.String())
	if served.dialect.(*postgresDialect).roles.read == "" {
		t.Fatal("it was opened without the roles: the test shows nothing")
	}
	p.mustCopy(served, p.file("back"), nil)
	p.same(served, p.open(p.file("back")))
}

// TestCopyFindsDifferences alters a copy before its last step: it is named, row and
// column, and the copy stays unfinished.
func TestCopyFindsDifferences(t *testing.T) {
	p := newPlaceTest(t)
	s := p.open(p.file("source"))
	mixture(t, s, 500, 1)
	to := p.onServer("copy")
	var once sync.Once
	got, err := p.copy(t.Context(), s, to, func(what string, _, _ int64) {
		if what != "comparing" {
			return
		}
		once.Do(func() {
			o := p.options()
			o.copying = 1
			copied, err := Open(t.Context(), to, o)
			if err != nil {
				t.Fatal(err)
			}
			defer copied.Close()
			for _, statement := range []string{"UPDATE system_event SET title = 'another' WHERE id = (SELECT min(id) FROM system_event)",
				"DELETE FROM system_event WHERE id = (SELECT max(id) FROM system_event)"} {
				if _, err := copied.rw.Exec(statement); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
	if err != nil || got.Exact() || len(got.Differences) != 2 {
		t.Fatalf("got %+v, %v, want two differences", got, err)
	}
	for i, says := range []string{"not the same: title", "in the source and not in the copy"} {
		if d := got.Differences[i].String(); !strings.HasPrefix(d, "system_event ") || !strings.Contains(d, says) {
			t.Errorf("got %q, want one of system_event that says %q", d, says)
		}
	}
	if _, err := Open(t.Context(), to, p.options()); !errors.Is(err, ErrUnfinished) {
		t.Errorf("got %v, want ErrUnfinished", err)
	}
	// What no server can hold is named, and not changed on its way.
	if _, err := s.rw.Exec("INSERT INTO setting (key, value, changed_at, changed_by) VALUES ('odd', CAST(x'61ff' AS TEXT), '', '')"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.copy(t.Context(), s, p.onServer("other"), nil); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "setting odd: its value") {
		t.Errorf("got %v, want ErrDamaged that names the row", err)
	}
}

// TestBackupOfServer makes a file of a database on a server, as it makes one of a
// file.
func TestBackupOfServer(t *testing.T) {
	p := newPlaceTest(t)
	s := p.open(p.onServer("source"))
	if _, err := s.BeginEvidence(t.Context()); err != nil {
		t.Fatal(err)
	}
	mixture(t, s, 800, 5)
	newBusy(p, s, 5).all(10)
	path := p.file("backup")
	b, err := s.Backup(t.Context(), ines, path, nil)
	if err != nil || !b.Verdict.Holds() {
		t.Fatalf("got %+v, %v", b, err)
	}
	if _, err := s.Backup(t.Context(), ines, path, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v onto a file that is there, want fs.ErrExist", err)
	}
	left, err := filepath.Glob(filepath.Join(p.folder, "{*,.*}"))
	if names, err2 := os.ReadDir(p.folder); err != nil || err2 != nil || len(names) != 1 || names[0].Name() != "backup.db" {
		t.Errorf("in the folder are %v %v, %v, want the backup alone", left, names, err2)
	}
	copied := p.open(path)
	if fresh, err := copied.BeginEvidence(t.Context()); err != nil || fresh == nil || !strings.HasPrefix(fresh.Reason, "restored from the backup of ") || fresh.Seq != b.Entries+1 {
		t.Errorf("got %+v, %v, want a new incarnation from entry %d", fresh, err, b.Entries+1)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Backup(ctx, ines, p.file("broken"), func(string, int64, int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v, want context.Canceled", err)
	}
	if names, err := filepath.Glob(filepath.Join(p.folder, ".*")); err != nil || len(names) > 0 {
		t.Errorf("left behind are %v, %v", names, err)
	}
}

// TestCopyKnowsAllColumns: a table or a column that somebody adds is copied, or it
// is said here why not.
func TestCopyKnowsAllColumns(t *testing.T) {
	p := newPlaceTest(t)
	leftOut := map[string]string{"session": "of the place where people signed in", "challenge": "as session", "throttle": "as session",
		"tile": "derived", "search_lot": "derived", "search_part": "derived", "search_stale": "derived", "head": "follows the ledger"}
	for path, query := range map[string]string{
		p.file("a"):     "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid",
		p.onServer("a"): "SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN pg_class t ON t.relname = c.table_name AND NOT t.relispartition AND t.relkind IN ('r', 'p') WHERE c.table_schema = current_schema() ORDER BY c.table_name, c.ordinal_position",
	} {
		found := map[string][]string{}
		err := eachRow(t.Context(), p.open(path).back, query, nil, func(row scanner) error {
			var table, column string
			err := row.Scan(&table, &column)
			if leftOut[table] == "" {
				found[table] = append(found[table], column)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		known := map[string][]string{}
		for _, table := range wholeTables {
			known[table.name] = slices.Sorted(slices.Values(table.columns))
			slices.Sort(found[table.name])
		}
		if diff := cmp.Diff(found, known); diff != "" {
			t.Errorf("the tables of %s and what is copied (-there +copied):\n%s", path, diff)
		}
	}
}

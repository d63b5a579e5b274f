package pgtest_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/auditadmin/auditadmin/internal/pgtest"
)

func TestCommit(t *testing.T) {
	tests := []struct {
		statement string
		want      bool
	}{
		{"commit", true}, {"COMMIT;", true}, {" Commit \n;\n", true}, {"END", true}, {"end transaction", true}, {"commit work", true},
		{"-- the end\ncommit", true}, {"/* now */ -- then\n commit", true}, {"commit; begin", true}, {"insert into v values (1); commit", true},
		{"", false}, {"begin", false}, {"rollback", false}, {"commits", false}, {"select 'commit'", false}, {"commit prepared 'x'", false},
		{"DO $$ BEGIN PERFORM 1; END; $$", false}, {"DO $$ BEGIN PERFORM 1; END $$", false}, {"-- commit", false}, {"/* commit", false},
	}
	for _, test := range tests {
		if got := pgtest.Commit(test.statement); got != test.want {
			t.Errorf("%q: got %v, want %v", test.statement, got, test.want)
		}
	}
}

// happened waits until the proxy has done what it was asked for.
func happened(t *testing.T, lost <-chan struct{}) {
	t.Helper()
	select {
	case <-lost:
	case <-time.After(10 * time.Second):
		t.Fatal("the proxy lost nothing")
	}
}

// TestLost loses a commit or its answer, said in every way, and looks at what the
// server has. The client learns the same in both cases: nothing.
func TestLost(t *testing.T) {
	s := pgtest.Shared(t)
	p := pgtest.NewProxy(t, s)
	commits := []struct {
		name   string
		commit func(ctx context.Context, c *pgx.Conn, tx pgx.Tx) error
	}{
		{"simple", func(ctx context.Context, c *pgx.Conn, tx pgx.Tx) error { return tx.Commit(ctx) }},
		{"simple, among others", func(ctx context.Context, c *pgx.Conn, tx pgx.Tx) error {
			_, err := c.PgConn().Exec(ctx, "INSERT INTO v VALUES (2); COMMIT").ReadAll()
			return err
		}},
		{"extended", func(ctx context.Context, c *pgx.Conn, tx pgx.Tx) error {
			return c.PgConn().ExecParams(ctx, "COMMIT", nil, nil, nil, nil).Read().Err
		}},
		{"prepared", func(ctx context.Context, c *pgx.Conn, tx pgx.Tx) error {
			if _, err := c.PgConn().Prepare(ctx, "the end", "end", nil); err != nil {
				t.Error(err)
			}
			return c.PgConn().ExecPrepared(ctx, "the end", nil, nil, nil).Read().Err
		}},
		{"in one breath", func(ctx context.Context, c *pgx.Conn, tx pgx.Tx) error {
			batch := &pgx.Batch{}
			batch.Queue("INSERT INTO v VALUES ($1)", 2)
			batch.Queue("COMMIT")
			return c.SendBatch(ctx, batch).Close()
		}},
	}
	for _, answer := range []bool{false, true} {
		for _, test := range commits {
			name := "request, "
			if answer {
				name = "answer, "
			}
			t.Run(name+test.name, func(t *testing.T) {
				database := s.Database(t, "")
				db := pgtest.Open(t, database)
				execute(t, db, "CREATE TABLE v (v int)")
				c, err := pgx.Connect(t.Context(), p.URL(t, database))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close(t.Context())
				tx, err := c.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tx.Exec(t.Context(), "INSERT INTO v VALUES ($1)", 1); err != nil {
					t.Fatal(err)
				}
				lose := p.LoseRequest
				if answer {
					lose = p.LoseAnswer
				}
				lost := lose(pgtest.Commit)
				if err := test.commit(t.Context(), c, tx); err == nil {
					t.Error("the commit succeeded")
				}
				happened(t, lost)
				rows := value(t, db, "SELECT count(*) FROM v")
				if answer == (rows == "0") {
					t.Errorf("got %s rows", rows)
				}
				if !c.IsClosed() {
					t.Error("the connection is open")
				}
				// Only the one is lost.
				execute(t, pgtest.Open(t, p.URL(t, database)), "BEGIN; DELETE FROM v; COMMIT")
				expect(t, "rows after it", value(t, db, "SELECT count(*) FROM v"), "0")
			})
		}
	}
}

// TestLostStatement loses a statement that is its own transaction.
func TestLostStatement(t *testing.T) {
	s := pgtest.Shared(t)
	p := pgtest.NewProxy(t, s)
	database := s.Database(t, "")
	db, through := pgtest.Open(t, database), pgtest.Open(t, p.URL(t, database))
	execute(t, db, "CREATE TABLE v (v int)")
	for i, test := range []struct {
		lose func(func(string) bool) <-chan struct{}
		want string
	}{{p.LoseRequest, "0"}, {p.LoseAnswer, "1"}} {
		lost := test.lose(pgtest.Statement("INSERT INTO v"))
		expect(t, "another statement", value(t, through, "SELECT count(*) FROM v"), "0")
		if _, err := through.Exec("INSERT INTO v VALUES ($1)", i); err == nil {
			t.Error("the statement succeeded")
		}
		happened(t, lost)
		expect(t, "rows", value(t, db, "SELECT count(*) FROM v"), test.want)
	}
}

func TestCut(t *testing.T) {
	s := pgtest.Shared(t)
	p := pgtest.NewProxy(t, s)
	database := s.Database(t, "")
	db := pgtest.Open(t, database)
	execute(t, db, "CREATE TABLE v (v int)")
	var open []*pgx.Conn
	for range 5 {
		c, err := pgx.Connect(t.Context(), p.URL(t, database))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		if _, err := c.Exec(t.Context(), "BEGIN; INSERT INTO v VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	p.Cut()
	for _, c := range open {
		if _, err := c.Exec(t.Context(), "COMMIT"); err == nil {
			t.Error("a connection was not cut")
		}
	}
	execute(t, db, "SET lock_timeout = '10s'; BEGIN; LOCK TABLE v; COMMIT") // the sessions have ended
	expect(t, "rows", value(t, db, "SELECT count(*) FROM v"), "0")
}

func TestRefuse(t *testing.T) {
	s := pgtest.Shared(t)
	p := pgtest.NewProxy(t, s)
	url := p.URL(t, s.URL())
	kept := pgtest.Open(t, url)
	expect(t, "before", value(t, kept, "SELECT 'here'"), "here")
	p.Refuse(t, true)
	if err := pgtest.Open(t, url).PingContext(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want that the connection is refused", err)
	}
	expect(t, "over an open connection", value(t, kept, "SELECT 'here'"), "here")
	p.Refuse(t, false)
	expect(t, "after", value(t, pgtest.Open(t, url), "SELECT 'here'"), "here")
}

func TestSilence(t *testing.T) {
	s := pgtest.Shared(t)
	p := pgtest.NewProxy(t, s)
	url := p.URL(t, s.URL())
	kept := pgtest.Open(t, url)
	kept.SetMaxOpenConns(1)
	expect(t, "before", value(t, kept, "SELECT 'here'"), "here")
	p.Silence(true)
	for name, db := range map[string]*sql.DB{"a new connection": pgtest.Open(t, url), "an open one": kept} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := db.PingContext(ctx); !errors.Is(err, context.DeadlineExceeded) && (err == nil || !strings.Contains(err.Error(), "timeout")) {
			t.Errorf("%s: got %v, want that it hears nothing until it gives up", name, err)
		}
		cancel()
	}
	answer := make(chan error)
	patient := pgtest.Open(t, url)
	go func() { answer <- patient.PingContext(t.Context()) }()
	select {
	case err := <-answer:
		t.Errorf("got %v, want that it waits", err)
	case <-time.After(100 * time.Millisecond):
	}
	p.Silence(false)
	if err := <-answer; err != nil {
		t.Errorf("after the silence: %v", err)
	}
}

func TestDelay(t *testing.T) {
	s := pgtest.Shared(t)
	p := pgtest.NewProxy(t, s)
	db := pgtest.Open(t, p.URL(t, s.URL()))
	expect(t, "before", value(t, db, "SELECT 'here'"), "here")
	p.Delay(150 * time.Millisecond)
	for _, args := range [][]any{nil, {"here"}} { // simple and extended
		begin := time.Now()
		expect(t, "later", value(t, db, "SELECT $1::text", append(args, "here")[0]), "here")
		if took := time.Since(begin); took < 150*time.Millisecond {
			t.Errorf("took %v, want a delay", took)
		}
	}
}

// TestLarge brings through what is larger than any buffer, both ways.
func TestLarge(t *testing.T) {
	s := pgtest.Shared(t)
	p := pgtest.NewProxy(t, s)
	database := s.Database(t, "")
	c, err := pgx.Connect(t.Context(), p.URL(t, database))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if _, err := c.Exec(t.Context(), "CREATE TABLE v (v int, t text)"); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("ä", 1<<20)
	n, err := c.CopyFrom(t.Context(), pgx.Identifier{"v"}, []string{"v", "t"}, pgx.CopyFromSlice(20, func(i int) ([]any, error) { return []any{i, big}, nil }))
	if n != 20 || err != nil {
		t.Fatalf("got %d, %v, want 20 rows", n, err)
	}
	var got string
	if err := c.QueryRow(t.Context(), "SELECT string_agg(t, '') FROM v WHERE v < 5 AND $1 <> ''", big).Scan(&got); err != nil || got != strings.Repeat(big, 5) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, 5*len(big))
	}
}

// TestStrand leaves connections that are open without an answer, and lets new ones
// through.
func TestStrand(t *testing.T) {
	s := pgtest.Shared(t)
	p := pgtest.NewProxy(t, s)
	address := p.URL(t, s.Database(t, ""))
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	p.Strand()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Exec(ctx, "SELECT 1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v of a connection that is stranded, want no answer", err)
	}
	expect(t, "an answer over a new one", value(t, pgtest.Open(t, address), "SELECT 1"), "1")
}

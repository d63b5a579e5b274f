package auditdb_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/audit/auditdb"
)

// flapping is a sink that is away now and then, and loses an answer now and
// then.
type flapping struct {
	audit.Sink
	calls atomic.Int64
}

func (f *flapping) Append(ctx context.Context, events []*audit.Event) (audit.Appended, error) {
	n := f.calls.Add(1)
	if n%40 < 10 {
		return audit.Appended{}, errors.New("away")
	}
	a, err := f.Sink.Append(ctx, events)
	if n%7 == 0 {
		return audit.Appended{}, errors.New("the answer was lost")
	}
	return a, err
}

// TestKilledApplication kills an application again and again while its events go
// straight to the database, into the spool, and out of it. What it was told to
// be durable has to be in the database, once.
func TestKilledApplication(t *testing.T) {
	if dir := os.Getenv("AUDITDB_TEST_DIR"); dir != "" {
		recordUntilKilled(dir)
		return
	}
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for round := range 6 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledApplication$")
		cmd.Env = append(os.Environ(), "AUDITDB_TEST_DIR="+dir, fmt.Sprint("AUDITDB_TEST_ROUND=", round))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(out)
		for n := 0; in.Scan(); n++ {
			acknowledged[in.Text()] = true
			if n == 150+41*round {
				_ = cmd.Process.Kill() // what it has said until then is still read
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the process was not killed")
		}
	}
	db, err := auditdb.Open(ctx, filepath.Join(dir, "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.New(db, audit.SpoolDir(filepath.Join(dir, "spool")))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Close(ctx), db.Close()); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "audit.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	stored := map[string]int{}
	rows, err := raw.QueryContext(ctx, "SELECT object_id, count(*) FROM audit_log GROUP BY object_id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			t.Fatal(err)
		}
		stored[id] = n
		if n != 1 {
			t.Errorf("%s is there %d times", id, n)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for id := range acknowledged {
		if stored[id] == 0 {
			t.Errorf("%s was acknowledged and lost", id)
		}
	}
	if len(acknowledged) < 1000 || r.Stats().Conflicts != 0 || r.Stats().Rejected != 0 {
		t.Errorf("got %d acknowledged, %d conflicts, %d rejected, want more than 1000, 0, 0", len(acknowledged), r.Stats().Conflicts, r.Stats().Rejected)
	}
	t.Logf("%d acknowledged over 6 kills, %d stored, each once", len(acknowledged), len(stored))
}

func recordUntilKilled(dir string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	db, err := auditdb.Open(ctx, filepath.Join(dir, "audit.db"))
	if err != nil {
		fail(err)
	}
	r, err := audit.New(&flapping{Sink: db}, audit.SpoolDir(filepath.Join(dir, "spool")))
	if err != nil {
		fail(err)
	}
	for g := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d", os.Getenv("AUDITDB_TEST_ROUND"), g, i)
				if err := r.LogAuditEvent(ctx, audit.AuditLog{Action: "UPDATE", ContentType: "shop.order", ObjectID: id}); err != nil {
					fail(err)
				}
				_, _ = os.Stdout.WriteString(id + "\n")
			}
		}()
	}
	select {}
}

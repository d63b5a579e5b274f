package auditdb_test

import (
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// TestInboxAndTrackOnPostgres is what differs there: types, parameters, quotes.
func TestInboxAndTrackOnPostgres(t *testing.T) {
	shop, _ := pgtest.Start(t)
	execute(t, shop, audit.InboxSchema("postgres"))
	execute(t, shop, audit.InboxSchema("postgres")) // twice does no harm
	execute(t, shop, `CREATE TABLE "Orders" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status text NOT NULL, total numeric(10,2), at timestamptz, tags text[])`)
	sink := &faulty{Sink: openAudit(t)}
	r := newRecorder(t, sink)
	for _, commit := range []bool{false, true} {
		tx, err := shop.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		var id int64
		err = audit.Track(ctx, r, tx, "Orders", &id, func() error {
			return tx.QueryRowContext(ctx, `INSERT INTO "Orders" (status, total, at) VALUES ('open', 10.50, '2026-03-01 12:00+01') RETURNING id`).Scan(&id)
		})
		if err != nil {
			t.Fatal(err)
		}
		err = audit.Track(ctx, r, tx, "public.Orders", id, func() error {
			_, err := tx.ExecContext(ctx, `UPDATE "Orders" SET total = 10.50, status = 'paid' WHERE id = $1`, id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if commit {
			err = tx.Commit()
		} else {
			err = tx.Rollback()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	execute(t, shop, "INSERT INTO "+audit.InboxTable+` (event) VALUES ('{"kind":"audit_log","action":"DELETE"}'), ('nonsense')`)
	if n, err := r.Drain(ctx, shop); n != 3 || err != nil {
		t.Fatalf("got %d, %v, want 3", n, err)
	}
	var got []string
	for _, e := range sink.events[:3] {
		got = append(got, strings.TrimSpace(e.Get("action")+" "+e.Get("object_id")+" "+e.Get("changes")))
	}
	want := []string{
		`CREATE 2 {"at":{"old":null,"new":"2026-03-01T11:00:00Z"},"id":{"old":null,"new":2},"status":{"old":null,"new":"open"},"total":{"old":null,"new":"10.50"}}`,
		`UPDATE 2 {"status":{"old":"open","new":"paid"}}`,
		"DELETE",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := count(t, shop, "SELECT count(*) FROM auditadmin_inbox WHERE problem <> ''"); n != 1 {
		t.Errorf("got %d entries with a problem, want 1", n)
	}
	if n := count(t, shop, "SELECT count(*) FROM auditadmin_inbox"); n != 1 {
		t.Errorf("got %d entries, want no other", n)
	}
}

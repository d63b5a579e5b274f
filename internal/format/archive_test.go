package format

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// TestRetain does what the settings say, once a day, and archives first.
func TestRetain(t *testing.T) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	s, err := db.Open(t.Context(), filepath.Join(t.TempDir(), "audit.db"), db.Options{Schema: auditadmin.Schema, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var events []*audit.Event
	for day := range 40 {
		e := audit.NewEvent(audit.KindAuditLog)
		e.SetTime(now.AddDate(0, 0, -day))
		e.Set("action", "UPDATE")
		if err := e.Normalize(now); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	if _, err := s.Append(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	if done, err := Retain(t.Context(), s, now); err != nil || len(done) != 0 {
		t.Errorf("got %v, %v where nothing is set, want nothing done", done, err)
	}
	dir := t.TempDir()
	if err := s.SetRetention(t.Context(), db.Actor{Name: "ines"}, db.Retention{Days: map[audit.Kind]int{audit.KindAuditLog: 30}, Archive: dir}); err != nil {
		t.Fatal(err)
	}
	done, err := Retain(t.Context(), s, now)
	if err != nil || done[audit.KindAuditLog].Events != 9 {
		t.Errorf("got %+v, %v, want the 9 events older than 30 whole days gone", done, err)
	}
	if done, err := Retain(t.Context(), s, now); err != nil || len(done) != 0 {
		t.Errorf("got %v, %v of a second run on the same day, want nothing done", done, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.ndjson.gz"))
	if err != nil || len(files) != 1 {
		t.Fatalf("got the archives %v, %v, want one", files, err)
	}
	sum, err := Import(t.Context(), mustLookup(t, "ndjson"), files, ImportOptions{Options: Options{Now: func() time.Time { return now }}}, s)
	if err != nil || sum.Read != 9 || sum.Skipped != 0 {
		t.Errorf("got %+v, %v of reading the archive, want 9 events", sum, err)
	}
}

func mustLookup(t *testing.T, name string) *Format {
	t.Helper()
	f, ok := Lookup(name)
	if !ok {
		t.Fatalf("there is no format %s", name)
	}
	return f
}

// TestArchiveSurvives reads an archive whose writer was killed between slices.
func TestArchiveSurvives(t *testing.T) {
	if _, err := NewArchive(filepath.Join(t.TempDir(), "nowhere"), audit.KindAuditLog, time.Now(), time.Now()); err == nil {
		t.Error("an archive goes into a folder that is not there")
	}
	dir := t.TempDir()
	a, err := NewArchive(dir, audit.KindAuditLog, time.Now(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("got %d files before anything was archived, want none", len(files))
	}
	e := audit.NewEvent(audit.KindAuditLog)
	e.SetTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	e.Set("action", "UPDATE")
	for range 3 {
		if err := a.Write([]*db.Stored{{Event: e, ID: 1, Seq: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	in, err := os.Open(filepath.Join(dir, a.Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	zip, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if lines := bytes.Count(text, []byte("\n")); err != nil || lines != 3 {
		t.Errorf("got %d events, %v before the archive was closed, want 3", lines, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

package format

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/evidence"
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
	// What was not taken away after all is given again, and takes its own place: the
	// last part, and then several.
	for _, part := range [][]int64{{1}, {2}, {3}, {3}, {4, 5}, {6}, {2, 3}} {
		var events []*db.Stored
		for _, id := range part {
			events = append(events, &db.Stored{Event: e, ID: id, Seq: id})
		}
		if err := a.Write(db.PurgePart{Events: events}); err != nil {
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
	if lines := bytes.Count(text, []byte("\n")); err != nil || lines != 3 || !bytes.Contains(text, []byte(`"id":"2"`)) {
		t.Errorf("got %d events, %v before the archive was closed, want 1 to 3: %s", lines, err, text)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// archiveOf purges all of a database but its traces into an archive, and returns
// the store and the path of the archive. A slice is a thousand events and more.
func archiveOf(t *testing.T, events int) (*db.Store, string) {
	t.Helper()
	ctx, now := t.Context(), time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	store, err := db.Open(ctx, filepath.Join(t.TempDir(), "audit.db"), db.Options{Schema: auditadmin.Schema, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if _, err := store.BeginEvidence(ctx); err != nil {
		t.Fatal(err)
	}
	var all []*audit.Event
	add := func(kind audit.Kind, at time.Time, name string, pairs ...string) {
		e := audit.NewEvent(kind)
		e.SetTime(at)
		e.EventID = name
		for i := 0; i < len(pairs); i += 2 {
			e.Set(pairs[i], pairs[i+1])
		}
		if err := e.Normalize(now); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	begin := now.AddDate(-1, 0, 0)
	for i := range events {
		at := begin.Add(time.Duration(i) * time.Minute)
		name := "e" + strconv.Itoa(i)
		if i%3 == 1 {
			name = ""
		}
		add(audit.KindAuditLog, at, name, "action", "UPDATE", "username", "alice", "reason", "because of "+strconv.Itoa(i)+" \"reasons\", <b>zwölf</b>", "changes", `{"total":{"old":10.00,"new":"12.50"}}`)
		if i%10 == 4 { // alike, and without a name
			add(audit.KindAuditLog, at, "", "action", "VIEW", "username", "bob")
			add(audit.KindAuditLog, at, "", "action", "VIEW", "username", "bob")
		}
		if i%4 == 0 {
			add(audit.KindLoginAttempt, at, name, "username", "alice", "status", "FAILED")
		}
	}
	add(audit.KindAuditLog, begin.Add(90*time.Second), "late", "action", "DELETE", "username", "carol")
	for len(all) > 0 {
		n := min(500, len(all))
		if _, err := store.Append(ctx, all[:n]); err != nil {
			t.Fatal(err)
		}
		all = all[n:]
	}
	if err := store.Redact(ctx, db.Actor{Name: "ines"}, audit.KindAuditLog, begin.UnixMicro()<<10, "reason", "asked for"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	a, err := NewArchive(dir, audit.KindAuditLog, now.AddDate(0, 0, -1), now)
	if err != nil {
		t.Fatal(err)
	}
	job := db.PurgeJob{Kind: audit.KindAuditLog, Before: now.AddDate(0, 0, -1), Reason: "old", Archive: a.Write, ArchiveName: a.Name()}
	got, err := store.Purge(ctx, db.Actor{Name: "ines"}, job)
	if want := int64(events + 2*((events+5)/10) + 1); err != nil || got.Events != want {
		t.Fatalf("got %+v, %v of the purge, want %d events", got, err, want)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return store, filepath.Join(dir, a.Name())
}

// TestArchiveProves checks archives as somebody does who has nothing else.
func TestArchiveProves(t *testing.T) {
	for _, events := range []int{1, 3210} {
		store, path := archiveOf(t, events)
		want := int64(events + 2*((events+5)/10) + 1)
		keys, err := store.PublicKeys()
		if err != nil {
			t.Fatal(err)
		}
		for _, keys := range [][]string{nil, keys} {
			c, err := CheckArchive(path, keys)
			if err != nil || c.Events != want || len(c.Signed) != 1 || c.Kind != audit.KindAuditLog {
				t.Errorf("got %+v, %v, want %d events that hold", c, err, want)
			}
		}
		stranger := "auditadmin/other+0c6ab3f4+ATzkFPlHtKzTs0aYyV4G0BTzbr0HKBBMPKPPGfsYyEQG"
		if _, err := CheckArchive(path, []string{stranger}); !errors.Is(err, evidence.ErrProof) {
			t.Errorf("with somebody else's key: got %v, want ErrProof", err)
		}
		size, err := os.Stat(strings.TrimSuffix(path, archiveEvents) + archiveProofs)
		if err != nil {
			t.Fatal(err)
		}
		if each := size.Size() / want; events > 1000 && each > 40 {
			t.Errorf("the proofs take %d bytes an event", each)
		}
		t.Logf("the proofs of %d events take %d bytes", want, size.Size())
	}
}

// TestForgedArchive changes an archive wherever it says something: none of it holds.
//
// ASVS:V16.4.2
func TestForgedArchive(t *testing.T) {
	_, path := archiveOf(t, 40)
	events, proofs := path, strings.TrimSuffix(path, archiveEvents)+archiveProofs
	line := func(text string) string { return text[:strings.IndexByte(text, '\n')+1] }
	for name, forge := range map[string]struct {
		file string
		with func(string) string
	}{
		"another value":      {events, replacing(`"username":"alice"`, `"username":"mallory"`)},
		"another number":     {events, replacing("10.00", "10.0")},
		"what was redacted":  {events, replacing(`"username":"alice"`, `"username":"alice","reason":"forged"`)},
		"another time":       {events, replacing("T12:05:00", "T12:05:01")},
		"another place":      {events, replacing(`"seq":5,`, `"seq":6,`)},
		"another id":         {events, replacing(`"id":"1`, `"id":"0`)},
		"another event_id":   {events, replacing(`"event_id":"e6"`, `"event_id":"e9"`)},
		"another kind":       {events, replacing(`"kind":"audit_log"`, `"kind":"system_event"`)},
		"an event less":      {events, func(s string) string { return s[len(line(s)):] }},
		"an event twice":     {events, func(s string) string { return line(s) + s }},
		"an event more":      {events, func(s string) string { return s + line(s) }},
		"an empty archive":   {events, func(string) string { return "" }},
		"no proofs":          {proofs, func(string) string { return "" }},
		"only the head":      {proofs, line},
		"fewer events":       {proofs, replacing(`{"events":49`, `{"events":48`)},
		"a hash less":        {proofs, replacing(`"between":"`, `"between":"AAAA`)},
		"another seed":       {proofs, replacing(`"seeds":"`, `"seeds":"AAAAAAAAAAAAAAAAAAAAAAAA`)},
		"another size":       {proofs, replacing(`\ntime 2026`, `\ntime 2025`)},
		"fewer fields":       {proofs, replacing(`"reason",`, ``)},
		"another field":      {proofs, replacing(`"reason",`, `"reasons",`)},
		"taken for altered":  {proofs, replacing(`,"between":`, `,"unproven":{"3":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},"between":`)},
		"another checkpoint": {proofs, replacing(`"checkpoint":"auditadmin/`, `"checkpoint":"auditadmin/x`)},
	} {
		dir := t.TempDir()
		for _, file := range []string{events, proofs} {
			text := unzipped(t, file)
			if file == forge.file {
				if forged := forge.with(text); forged != text {
					text = forged
				} else {
					t.Errorf("%s: nothing was changed", name)
				}
			}
			var packed bytes.Buffer
			zip := gzip.NewWriter(&packed)
			if _, err := zip.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			if err := zip.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), packed.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if c, err := CheckArchive(filepath.Join(dir, filepath.Base(events)), nil); !errors.Is(err, evidence.ErrProof) {
			t.Errorf("%s: got %+v, %v, want ErrProof", name, c, err)
		}
	}
}

func replacing(old, new string) func(string) string {
	return func(text string) string { return strings.Replace(text, old, new, 1) }
}

func unzipped(t *testing.T, path string) string {
	t.Helper()
	in, err := openInput(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	text, err := io.ReadAll(in.reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestImportArchiveBack imports an archive where it came from, once all of it is
// gone, and into an empty database, where it is taken away again.
func TestImportArchiveBack(t *testing.T) {
	store, path := archiveOf(t, 300)
	now := func() time.Time { return time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC) }
	back := func(store *db.Store) Summary {
		sum, err := Import(t.Context(), mustLookup(t, "ndjson"), []string{path}, ImportOptions{Options: Options{Now: now}}, store)
		if err != nil || sum.Skipped != 0 {
			t.Fatalf("got %+v, %v", sum, err)
		}
		return sum
	}
	if sum := back(store); sum.Stored != 0 || sum.Duplicates != sum.Read {
		t.Errorf("got %+v where it was purged: a purged event's twin is a duplicate, whether it had a name or not", sum)
	}
	other, err := db.Open(t.Context(), filepath.Join(t.TempDir(), "audit.db"), db.Options{Schema: auditadmin.Schema, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if sum := back(other); sum.Stored != sum.Read || sum.Read != 361 {
		t.Errorf("got %+v into an empty database, want all 361", sum)
	}
	if sum := back(other); sum.Stored != 0 {
		t.Errorf("got %+v a second time, want nothing more", sum)
	}
	if _, err := other.Purge(t.Context(), db.Actor{Name: "ines"}, db.PurgeJob{Kind: audit.KindAuditLog, Before: now().AddDate(0, 0, -1), Reason: "old"}); err != nil {
		t.Fatal(err)
	}
	if sum := back(other); sum.Stored != 0 {
		t.Errorf("got %+v after a purge, want nothing more", sum)
	}
}

// TestImportWhatIsStored imports an export of events that have no name into the
// database that has them: nothing is doubled, but what is new is new.
func TestImportWhatIsStored(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	store, err := db.Open(t.Context(), filepath.Join(t.TempDir(), "audit.db"), db.Options{Schema: auditadmin.Schema, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	at := func(user string) *audit.Event {
		e := audit.NewEvent(audit.KindAuditLog)
		e.SetTime(now.AddDate(0, -2, 0))
		e.Set("action", "UPDATE")
		e.Set("username", user)
		e.Set("changes", `{"a":{"old":1,"new":2}}`)
		if err := e.Normalize(now); err != nil {
			t.Fatal(err)
		}
		return e
	}
	if _, err := store.Append(t.Context(), []*audit.Event{at("alice"), at("alice"), at("bob")}); err != nil {
		t.Fatal(err)
	}
	lines := func(users ...string) string {
		var text []byte
		for _, user := range users {
			text = append(audit.AppendJSON(text, at(user), nil), '\n')
		}
		return string(text)
	}
	for _, step := range []struct {
		what, text string
		stored     int64
	}{
		{"what is there", lines("alice", "bob", "alice"), 0},
		{"once more than is there", lines("alice", "bob", "alice", "alice"), 1},
		{"the same again", lines("alice", "bob", "alice", "alice"), 0},
		{"what was never there", lines("carol"), 1},
	} {
		sum, err := Import(t.Context(), mustLookup(t, "ndjson"), []string{StandardInput}, ImportOptions{Options: Options{Now: func() time.Time { return now }}, Stdin: strings.NewReader(step.text)}, store)
		if err != nil || sum.Stored != step.stored || sum.Skipped != 0 {
			t.Errorf("%s: got %+v, %v, want %d stored", step.what, sum, err, step.stored)
		}
	}
}

package format

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin"
	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/evidence"
	"github.com/auditadmin/auditadmin/internal/query"
)

// bundleOf writes a bundle of some events, one of which was redacted.
func bundleOf(t *testing.T, events int) []byte {
	t.Helper()
	ctx, now := t.Context(), time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	store, err := db.Open(ctx, filepath.Join(t.TempDir(), "audit.db"), db.Options{Schema: auditadmin.Schema, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.BeginEvidence(ctx); err != nil {
		t.Fatal(err)
	}
	var all []*audit.Event
	for i := range events {
		e := audit.NewEvent(audit.KindAuditLog)
		e.SetTime(now.Add(-time.Duration(i) * time.Minute))
		e.EventID = "e" + strconv.Itoa(i)
		e.Set("action", "UPDATE")
		e.Set("username", "alice")
		e.Set("reason", "because of "+strconv.Itoa(i)+" \"reasons\", <b>zwölf</b>")
		e.Set("changes", "{\"total\":{\"old\":10.00,\n\"new\":\"12.50\"}}")
		if err := e.Normalize(now); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	if _, err := store.Append(ctx, all); err != nil {
		t.Fatal(err)
	}
	if err := store.Redact(ctx, db.Actor{Name: "ines"}, audit.KindAuditLog, now.UnixMicro()<<10, "reason", "asked for"); err != nil {
		t.Fatal(err)
	}
	f, err := query.Parse(audit.KindAuditLog, "user:alice", query.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	sel, err := store.Select(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	b, err := WriteBundle(ctx, &out, store, sel, "ines", now)
	if err != nil || b.Events != int64(events) {
		t.Fatalf("wrote %d events, %v, want %d", b.Events, err, events)
	}
	return out.Bytes()
}

// TestBundle writes evidence of more events than are proven at once, and checks
// it as somebody does who has nothing else.
func TestBundle(t *testing.T) {
	bundle := bundleOf(t, bundleProofChunk+40)
	c, err := CheckBundle(bytes.NewReader(bundle), int64(len(bundle)), nil)
	if err != nil || c.Events != bundleProofChunk+40 || c.By != "ines" || len(c.Signed) != 1 {
		t.Fatalf("got %+v, %v", c, err)
	}
	archive, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range archive.File {
		names[f.Name] = true
	}
	for _, want := range []string{bundleReadme, bundleQuery, bundleNDJSON, bundleCSV, bundleProofs, bundleCheckpoint, bundleKeys} {
		if !names[want] {
			t.Errorf("the bundle has no %s", want)
		}
	}
	stranger := "auditadmin/other+0c6ab3f4+ATzkFPlHtKzTs0aYyV4G0BTzbr0HKBBMPKPPGfsYyEQG"
	if _, err := CheckBundle(bytes.NewReader(bundle), int64(len(bundle)), []string{stranger}); err == nil {
		t.Error("it holds with somebody else's key")
	}
}

// TestForgedBundle changes a bundle in every file that says something: none of
// them holds.
func TestForgedBundle(t *testing.T) {
	bundle := bundleOf(t, 5)
	for name, forge := range map[string]struct{ file, old, new string }{
		"another value":      {bundleNDJSON, `"username":"alice"`, `"username":"mallory"`},
		"another number":     {bundleNDJSON, "10.00", "10.0"},
		"what was redacted":  {bundleNDJSON, `"username":"alice"`, `"username":"alice","reason":"forged"`},
		"another time":       {bundleNDJSON, "11:59:00", "11:58:59"},
		"another place":      {bundleNDJSON, `"seq":2`, `"seq":3`},
		"another event_id":   {bundleNDJSON, `"event_id":"e1"`, `"event_id":"e9"`},
		"a proof's value":    {bundleProofs, "alice", "mallory"},
		"a proof's path":     {bundleProofs, `"path":["`, `"path":["AAAA`},
		"the table's value":  {bundleCSV, "alice", "mallory"},
		"the table's names":  {bundleCSV, "username", "user"},
		"a formula":          {bundleCSV, "because of 2", "=1+2"},
		"a row too many":     {bundleCSV, "\r\n", "\r\n1838448000000000000,1\r\n"},
		"another kind":       {bundleQuery, "audit_log", "audit_lag"},
		"another count":      {bundleQuery, `"events": 5`, `"events": 4`},
		"another checkpoint": {bundleCheckpoint, "\ntime 2026", "\ntime 2025"},
	} {
		forged := rewrite(t, bundle, forge.file, forge.old, forge.new)
		if _, err := CheckBundle(bytes.NewReader(forged), int64(len(forged)), nil); !errors.Is(err, evidence.ErrProof) {
			t.Errorf("%s: %v, want ErrProof", name, err)
		}
	}
	for _, file := range []string{bundleNDJSON, bundleCSV, bundleProofs} {
		cut := rewrite(t, bundle, file, "", "")
		if _, err := CheckBundle(bytes.NewReader(cut), int64(len(cut)), nil); !errors.Is(err, evidence.ErrProof) {
			t.Errorf("without the first line of %s: %v, want ErrProof", file, err)
		}
	}
}

// TestBundleHasEachEventOnce writes an event and its proof a second time into every
// file: each of them holds by itself, and there would be one event too many.
func TestBundleHasEachEventOnce(t *testing.T) {
	bundle := bundleOf(t, 3)
	archive, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range archive.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		switch f.Name {
		case bundleNDJSON, bundleProofs:
			text = append(text, text[bytes.LastIndexByte(text[:len(text)-1], '\n')+1:]...)
		case bundleCSV:
			text = append(text, text[bytes.LastIndex(text[:len(text)-2], []byte("\r\n"))+2:]...)
		case bundleQuery:
			text = bytes.Replace(text, []byte(`"events": 3`), []byte(`"events": 4`), 1)
		}
		entry, err := w.Create(f.Name)
		if err == nil {
			_, err = entry.Write(text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = CheckBundle(bytes.NewReader(out.Bytes()), int64(out.Len()), nil)
	if !errors.Is(err, evidence.ErrProof) || !strings.Contains(err.Error(), "event number 4") {
		t.Errorf("got %v, want ErrProof of the fourth event", err)
	}
}

// TestBundleIsNothingElse puts a file into a bundle that nothing vouches for.
func TestBundleIsNothingElse(t *testing.T) {
	bundle := rewrite(t, bundleOf(t, 2), bundleReadme, "Evidence from", "Evidence, from")
	if _, err := CheckBundle(bytes.NewReader(bundle), int64(len(bundle)), nil); err != nil {
		t.Errorf("another README: %v", err)
	}
	archive, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range archive.File {
		if err := w.Copy(f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Create("events.xlsx"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := CheckBundle(bytes.NewReader(out.Bytes()), int64(out.Len()), nil); !errors.Is(err, evidence.ErrProof) {
		t.Errorf("with a file more: %v, want ErrProof", err)
	}
}

// TestBundleNamesWhatIsNotProven looks for the fields that change after an event
// is recorded in what a check says.
func TestBundleNamesWhatIsNotProven(t *testing.T) {
	for kind, want := range map[audit.Kind]string{
		audit.KindAuditLog: "", audit.KindDataExport: "download_count",
		audit.KindSystemEvent: "resolved resolved_at resolved_by resolution_note",
	} {
		if got := strings.Join(unproven(kind), " "); got != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
		for _, name := range unproven(kind) {
			if !strings.Contains(readme(Bundle{Kind: kind}), name) {
				t.Errorf("the README of a bundle of %s does not name %s", kind.Plural(), name)
			}
		}
	}
}

// rewrite returns a bundle with one text in one file replaced, or for "" without
// that file's first line.
func rewrite(t *testing.T, bundle []byte, file, old, new string) []byte {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name == file {
			changed := strings.Replace(string(text), old, new, 1)
			if old == "" {
				_, changed, _ = strings.Cut(string(text), "\n")
			}
			if changed == string(text) {
				t.Fatalf("%s has no %q", file, old)
			}
			text = []byte(changed)
		}
		entry, err := w.Create(f.Name)
		if err == nil {
			_, err = entry.Write(text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

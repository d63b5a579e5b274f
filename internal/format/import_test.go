package format

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// memory is an Appender that keeps events, and knows a twin when it sees one.
type memory struct {
	events []*audit.Event
	seen   map[string]string // event by kind, event_id and timestamp
	fail   error
}

func (m *memory) Append(_ context.Context, events []*audit.Event) (db.Appended, error) {
	var done db.Appended
	if m.fail != nil {
		return done, m.fail
	}
	if m.seen == nil {
		m.seen = map[string]string{}
	}
	for _, e := range events {
		key := string(e.Kind) + "\x00" + e.EventID + "\x00" + e.Get("timestamp")
		body := string(audit.AppendJSON(nil, e, nil))
		twin, ok := m.seen[key]
		switch {
		case !ok:
			m.seen[key] = body
			m.events = append(m.events, e)
			done.Accepted++
		default:
			done.Duplicates++
			if twin != body {
				done.Conflicts++
			}
		}
	}
	return done, nil
}

// count returns how many events have all of the given values: "field=value".
func (m *memory) count(kind audit.Kind, conditions ...string) int {
	n := 0
next:
	for _, e := range m.events {
		if e.Kind != kind {
			continue
		}
		for _, c := range conditions {
			field, value, _ := strings.Cut(c, "=")
			if e.Get(field) != value {
				continue next
			}
		}
		n++
	}
	return n
}

var testNow = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// testImport imports files and returns what was stored, the summary and the
// bad records.
func testImport(t testing.TB, format string, o ImportOptions, files ...string) (*memory, Summary, []string) {
	t.Helper()
	store := &memory{}
	summary, bad, err := importInto(store, format, o, files...)
	if err != nil {
		t.Fatalf("import %s %v: %v", format, files, err)
	}
	return store, summary, bad
}

func importInto(store Appender, format string, o ImportOptions, files ...string) (Summary, []string, error) {
	f, ok := Lookup(format)
	if !ok {
		return Summary{}, nil, fmt.Errorf("no format %q", format)
	}
	if o.Now == nil {
		o.Now = func() time.Time { return testNow }
	}
	var bad []string
	o.Bad = func(e *LineError) {
		e.File = filepath.Base(e.File)
		bad = append(bad, e.Error())
	}
	summary, err := Import(context.Background(), f, files, o, store)
	return summary, bad, err
}

// testFile writes a file for a test and returns its path.
func testFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func packed(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// again imports the same a second time, which has to add nothing.
func again(t *testing.T, store *memory, format string, o ImportOptions, files ...string) {
	t.Helper()
	before := len(store.events)
	summary, _, err := importInto(store, format, o, files...)
	if err != nil {
		t.Fatal(err)
	}
	if summary.Stored != 0 || summary.Conflicts != 0 || summary.Duplicates != int64(before) {
		t.Errorf("second import of %v: got %s; want %d duplicates and nothing stored", files, summary, before)
	}
}

const event = `{"kind":"audit_log","timestamp":"2026-03-01T12:00:00Z","username":"alice","action":"UPDATE","object_id":"%s"}`

func TestImportNamesEvents(t *testing.T) {
	one, two := fmt.Sprintf(event, "1"), fmt.Sprintf(event, "2")
	named := `{"kind":"audit_log","event_id":"a1","timestamp":"2026-03-01T12:00:00Z","action":"UPDATE"}`
	path := testFile(t, "a.ndjson", []byte(strings.Join([]string{one, two, one, named, one, named}, "\n")))
	store, summary, _ := testImport(t, "ndjson", ImportOptions{}, path)
	if got, want := summary.Stored, int64(5); got != want {
		t.Errorf("stored: got %d, want %d: like lines are events of their own, unless they have the same name", got, want)
	}
	if got, want := summary.Duplicates, int64(1); got != want {
		t.Errorf("duplicates: got %d, want %d", got, want)
	}
	again := &memory{events: store.events, seen: store.seen}
	grown := testFile(t, "b.ndjson", []byte(strings.Join([]string{one, two, one, named, one, named, one}, "\r\n")+"\r\n"))
	summary, _, err := importInto(again, "ndjson", ImportOptions{}, grown)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := summary.Stored, int64(1); got != want {
		t.Errorf("stored from a file that has grown by one line: got %d, want %d", got, want)
	}
}

func TestImportInputs(t *testing.T) {
	lines := strings.Repeat(fmt.Sprintf(event, "1")+"\n", 3000)
	half := packed(t, []byte(lines))
	for _, test := range []struct {
		name    string
		content []byte
		read    int64
		skipped int64
		bad     string // in the first bad line
		err     string
	}{
		{name: "plain", content: []byte(lines), read: 3000},
		{name: "gzip", content: packed(t, []byte(lines)), read: 3000},
		{name: "two gzip members", content: append(packed(t, []byte(lines)), packed(t, []byte(lines))...), read: 6000},
		{name: "byte order mark", content: []byte("\xEF\xBB\xBF" + lines), read: 3000},
		{name: "CR LF and blank lines", content: []byte("\r\n \n" + strings.ReplaceAll(lines, "\n", "\r\n\r\n")), read: 3000},
		{name: "no newline at the end", content: []byte(strings.TrimSpace(lines)), read: 3000},
		{name: "empty", content: nil},
		{name: "UTF-16", content: []byte("\xFF\xFE{\x00"), err: "iconv"},
		{name: "UTF-16 without a mark", content: []byte("{\x00\"\x00"), err: "iconv"},
		{name: "zip", content: []byte("PK\x03\x04\x14\x00"), err: "unzip -p"},
		{name: "xz", content: []byte("\xFD7zXZ\x00\x00"), err: "xz -dc"},
		{name: "tar within gzip", content: packed(t, []byte("a.json"+strings.Repeat("\x00", 251)+"ustar\x0000")), err: "tar -xf"},
		{name: "another format", content: []byte(`[{"eventSource":"s3.amazonaws.com","eventName":"GetObject"}]`), read: 1, skipped: 1, err: "looks like --format cloudtrail"},
		{name: "no UTF-8", content: []byte(strings.Replace(lines, "alice", "al\xffce", 1)), read: 3000, skipped: 1, bad: "file:1: "},
		{name: "long line", content: []byte(`{"kind":"` + strings.Repeat("x", maxLine) + "\"}\n" + lines), read: 3001, skipped: 1, bad: "file:1: the line is too long"},
		{name: "cut gzip", content: half[:len(half)-20], read: -1, err: "cut off"},
		{name: "unknown field", content: []byte(`{"kind":"audit_log","timestamp":"2026-03-01T12:00:00Z","action":"X","usrname":"x"}`), read: 1, skipped: 1, bad: "usrname"},
		{name: "time without a clock", content: []byte(`{"kind":"audit_log","action":"X"}`), read: 1, skipped: 1, bad: "timestamp"},
		{name: "time of tomorrow's tomorrow", content: []byte(`{"kind":"audit_log","action":"X","timestamp":"2026-09-04T00:00:00Z"}`), read: 1, skipped: 1, bad: "24 hours"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := testFile(t, "file", test.content)
			store := &memory{}
			summary, bad, err := importInto(store, "ndjson", ImportOptions{}, path)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), path)) {
				t.Errorf("error: got %v, want one with the path and %q", err, test.err)
			}
			if test.read >= 0 && summary.Read != test.read {
				t.Errorf("read: got %d, want %d", summary.Read, test.read)
			}
			if summary.Skipped != test.skipped || int64(len(bad)) != test.skipped {
				t.Errorf("skipped: got %d and %q, want %d", summary.Skipped, bad, test.skipped)
			}
			if test.bad != "" && (len(bad) == 0 || !strings.Contains(bad[0], test.bad)) {
				t.Errorf("bad lines: got %q, want one with %q", bad, test.bad)
			}
			if got, want := summary.Stored, summary.Read-summary.Skipped; got != want {
				t.Errorf("stored: got %d, want %d: what was read is stored", got, want)
			}
		})
	}
}

// Every format that can be read knows a file of its own, and no other format
// takes it for one of its own.
func TestGuess(t *testing.T) {
	heads := map[string]string{
		"ndjson":     fmt.Sprintf(event, "1"),
		"sshd":       "\nMar 27 13:06:56 web1 sshd[7]: Accepted password for alice from 203.0.113.9 port 5022 ssh2\r\n",
		"django":     sqliteMagic + "\x10\x00",
		"cloudtrail": fmt.Sprintf(trailLine, "iam.amazonaws.com", "CreateUser", ""),
		"accesslog":  `203.0.113.9 - - [01/Mar/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 12` + "\n",
	}
	for _, f := range formats {
		if f.read == nil {
			continue
		}
		if heads[f.Name] == "" {
			t.Errorf("%s: there is no sample of it here", f.Name)
		}
		for name, head := range heads {
			if got, want := f.like([]byte(head)), name == f.Name; got != want {
				t.Errorf("a file of %s is like %s: got %v, want %v", name, f.Name, got, want)
			}
		}
	}
	for _, head := range []string{"", "\n", "nonsense", "{}", "[Sun Dec 04 04:47:44 2005] [error] x"} {
		if f := guess([]byte(head)); f != nil {
			t.Errorf("%q: got %s, want nothing", head, f.Name)
		}
	}
}

func TestImportGoesOnWithTheNextFile(t *testing.T) {
	good := testFile(t, "good", []byte(fmt.Sprintf(event, "1")))
	broken := packed(t, []byte(fmt.Sprintf(event, "2")))
	cut := testFile(t, "cut", broken[:len(broken)-6])
	store := &memory{}
	summary, _, err := importInto(store, "ndjson", ImportOptions{}, cut, good)
	if err == nil || !strings.Contains(err.Error(), cut) {
		t.Errorf("error: got %v, want one that names %s", err, cut)
	}
	if summary.Stored != 1 {
		t.Errorf("stored: got %d, want 1 from the file behind the broken one", summary.Stored)
	}
	if _, _, err := importInto(&memory{}, "ndjson", ImportOptions{}, t.TempDir()); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory: got %v, want an error that says so", err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	store = &memory{}
	_, _, err = importInto(store, "ndjson", ImportOptions{}, good, missing)
	if !errors.Is(err, os.ErrNotExist) || len(store.events) > 0 {
		t.Errorf("a missing file: got %v and %d events, want not-exist before anything is stored", err, len(store.events))
	}
}

func TestImportStopsWhereTheStoreFails(t *testing.T) {
	var lines strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&lines, event+"\n", fmt.Sprint(i))
	}
	full := errors.New("the disk is full")
	_, _, err := importInto(&memory{fail: full}, "ndjson", ImportOptions{}, testFile(t, "a", []byte(lines.String())))
	if !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

func TestImportReadsStandardInput(t *testing.T) {
	var done int64
	store, summary, _ := testImport(t, "ndjson", ImportOptions{
		Stdin:    strings.NewReader(fmt.Sprintf(event, "1")),
		Progress: func(n, total int64) { done = n },
	}, "-")
	if summary.Stored != 1 || done == 0 {
		t.Errorf("got %s and progress %d, want one event and some progress", summary, done)
	}
	if got, want := store.events[0].Source, "import:ndjson"; got != want {
		t.Errorf("source: got %q, want %q", got, want)
	}
}

func TestImportMasksBeforeItNames(t *testing.T) {
	line := `{"kind":"audit_log","timestamp":"2026-03-01T12:00:00Z","action":"UPDATE","reason":"%s"}` + "\n"
	mask := func(e *audit.Event) { e.Set("reason", "***") }
	path := testFile(t, "a", []byte(fmt.Sprintf(line, "hunter2")))
	other := testFile(t, "b", []byte(fmt.Sprintf(line, "hunter3")))
	a, _, _ := testImport(t, "ndjson", ImportOptions{Mask: mask}, path)
	b, _, _ := testImport(t, "ndjson", ImportOptions{Mask: mask}, other)
	if a.events[0].EventID != b.events[0].EventID {
		t.Errorf("the names %s and %s let somebody try out what was masked", a.events[0].EventID, b.events[0].EventID)
	}
}

func TestRepeatsInBoundedMemory(t *testing.T) {
	for _, most := range []int{10, spillRows + 7} { // less than one statement moves, and more
		testRepeats(t, most)
	}
}

func testRepeats(t *testing.T, most int) {
	r := newRepeats(most)
	defer r.close()
	ctx := context.Background()
	want := map[content]int64{}
	for round := range 5 {
		for i := range 200 {
			if i%(round+1) != 0 {
				continue
			}
			c := content{micros: int64(i / 3), digest: [16]byte{byte(i)}}
			want[c]++
			got, err := r.next(ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			if got != want[c] {
				t.Fatalf("content %d in round %d: got %d, want %d", i, round, got, want[c])
			}
			if len(r.recent) > most {
				t.Fatalf("%d contents in memory, want at most %d", len(r.recent), most)
			}
		}
	}
	dir := r.dir
	if err := r.reset(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the temporary directory is left behind: %v", err)
	}
}

// endless gives the same line over and over, up to so many bytes.
type endless struct {
	line string
	left int64
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := copy(p, e.line[e.at:])
	e.at = (e.at + n) % len(e.line)
	e.left -= int64(n)
	return n, nil
}

// forget is an Appender that keeps nothing.
type forget struct{}

func (forget) Append(_ context.Context, events []*audit.Event) (db.Appended, error) {
	return db.Appended{Accepted: len(events)}, nil
}

// contended is a store that other programs fill as well.
type contended struct {
	memory
	most  int // events of one call
	waits int
}

func (s *contended) Contended() bool { return true }

func (s *contended) GiveWay(context.Context, time.Duration) { s.waits++ }

func (s *contended) Append(ctx context.Context, events []*audit.Event) (db.Appended, error) {
	s.most = max(s.most, len(events))
	return s.memory.Append(ctx, events)
}

// TestImportGivesWay to others: it stores a few events at a time and waits after each.
func TestImportGivesWay(t *testing.T) {
	line := `{"kind":"audit_log","timestamp":"2026-03-01T12:00:00Z","action":"UPDATE","username":"alice","object_id":"%d"}` + "\n"
	var input strings.Builder
	const calls = 3
	for i := range calls * contendedEvents {
		fmt.Fprintf(&input, line, i)
	}
	store := &contended{}
	summary, _, err := importInto(store, "ndjson", ImportOptions{Stdin: strings.NewReader(input.String())}, StandardInput)
	if err != nil || summary.Stored != calls*contendedEvents {
		t.Fatalf("got %+v, %v", summary, err)
	}
	if store.most != contendedEvents || store.waits != calls {
		t.Errorf("stored at most %d events at once and waited %d times, want %d and %d", store.most, store.waits, contendedEvents, calls)
	}
}

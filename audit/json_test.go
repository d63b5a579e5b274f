package audit

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/internal/need"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const exampleLine = `{"kind":"audit_log","event_id":"a1","timestamp":"2026-03-01T12:00:00.123456Z","user_id":"7","username":"alice","action":"UPDATE","content_type":"shop.order","object_id":"42","object_repr":"Order 42","changes":{"total":{"old":"10.00","new":"12.50"}},"ip_address":"203.0.113.9","module":"shop"}`

func TestDecodeExample(t *testing.T) {
	e, err := DecodeEvent([]byte(exampleLine), DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Normalize(testNow.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := string(AppendJSON(nil, e, nil)); got != exampleLine {
		t.Errorf("got  %s\nwant %s", got, exampleLine)
	}
	e.Source = "import"
	r := &Recorded{ID: 1816, Seq: 3, RecordedAt: testNow}
	want := `{"kind":"audit_log","id":"1816","seq":3,"recorded_at":"2026-03-01T12:00:00.000000Z","source":"import","event_id":"a1",` +
		strings.TrimPrefix(exampleLine, `{"kind":"audit_log","event_id":"a1",`)
	line := AppendJSON(nil, e, r)
	if string(line) != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
	again, err := DecodeEvent(line, DecodeOptions{Import: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, again, sameEvent); diff != "" {
		t.Errorf("an exported event changed on import (-want +got):\n%s", diff)
	}
}

func TestDecodeEvent(t *testing.T) {
	const head = `{"kind":"audit_log","timestamp":"2026-03-01T12:00:00Z","action":"VIEW"`
	tests := []struct {
		line, problem string
		o             DecodeOptions
	}{
		{line: head + `}`},
		{line: ` { "action" : "VIEW" , "kind" : "audit_log" } ` + "\r"},
		{line: head + `,"reason":null,"source":null}`, problem: `"source" of an audit_log is given by the server`},
		{line: head + `,"reason":null,"source":"x","id":"1","seq":9,"recorded_at":"?"}`, o: DecodeOptions{Import: true}},
		{line: head + `,"id":"1"}`, problem: `"id" of an audit_log is given by the server`},
		{line: head + `,"metadata":{"deep":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}}`},
		{line: head + `,"metadata":{"deep":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}}`, problem: "more than 32 levels"},

		{line: ``, problem: "one JSON object a line"},
		{line: `[]`, problem: "one JSON object a line"},
		{line: `{}`, problem: `"kind" is missing`},
		{line: `{"kind":"audit"}`, problem: `must be audit_log, login_attempt, data_export or system_event; got "audit"`},
		{line: `{"Kind":"audit_log"}`, problem: `"kind" is missing`},
		{line: head, problem: "a comma or } is missing at byte"},
		{line: head + `}{}`, problem: "something follows"},
		{line: head + `,}`, problem: "a key in double quotes"},
		{line: head + `,"user":"x"}`, problem: `"user" of an audit_log is not known`},
		{line: head + `,"usernam":"x"}`, problem: `did you mean "username"?`},
		{line: head + `,"objectId":"x"}`, problem: `did you mean "object_id"?`},
		{line: head + `,"Action":"DELETE"}`, problem: `did you mean "action"?`},
		{line: head + `,"nonsense":null}`, problem: `"nonsense" of an audit_log is not known`},
		{line: head + `,"action":"DELETE"}`, problem: `the key "action" is repeated`},
		{line: head + `,"kind":"audit_log"}`, problem: `the key "kind" is repeated`},
		{line: head + `,"metadata":{"a":{"b":1,"\u0062":1}}}`, problem: `the key "b" is repeated`},
		{line: head + `,"user_id":7}`, problem: `must be a string: write "7" in quotes`},
		{line: head + `,"reason":["x"]}`, problem: "must be a string; got ["},
		{line: head + `,"reason":"` + "\xc3" + `"}`, problem: "invalid UTF-8"},
		{line: head + `,"reason":"\ud83d"}`, problem: "half a surrogate pair"},
		{line: `{"kind":"audit_log","timestamp":"2026-03-01T12:00:00Z"}`, problem: `"action" of an audit_log is missing`},
		{line: `{"kind":"audit_log","timestamp":"2026-03-01T12:00:00Z","action":null}`, problem: `"action" of an audit_log is missing`},
		{line: `{"kind":"audit_log","action":"VIEW","event_id":"x"}`, problem: "unique only together with a timestamp"},
		{line: `{"kind":"audit_log","action":"VIEW"}`, problem: `"timestamp" of an audit_log is missing`, o: DecodeOptions{Import: true}},
		{line: `{"kind":"login_attempt","status":"FAILED"}`, problem: `"username" of a login_attempt is missing`},
		{line: `{"kind":"login_attempt","status":"FAILED","username":""}`},
		{line: `{"kind":"data_export","export_type":"x","record_count":"12","file_size":-3}`},
		{line: `{"kind":"data_export","export_type":"x","record_count":1e3}`, problem: "must be a whole number; got 1e3"},
		{line: `{"kind":"data_export","export_type":"x","record_count":true}`, problem: "must be a whole number; got true"},
		{line: `{"kind":"system_event","event_type":"INFO","title":"x","resolved":true}`},
		{line: `{"kind":"system_event","event_type":"INFO","title":"x","resolved":"true"}`, problem: "without quotes"},
	}
	for _, tt := range tests {
		_, err := DecodeEvent([]byte(tt.line), tt.o)
		var fe *FieldError
		switch {
		case tt.problem == "" && err != nil:
			t.Errorf("%s\ngot %v, want no error", tt.line, err)
		case tt.problem != "" && (!errors.As(err, &fe) || !strings.Contains(err.Error(), tt.problem)):
			t.Errorf("%s\ngot %v, want an error that says %s", tt.line, err, tt.problem)
		}
	}
}

func TestDecodeText(t *testing.T) {
	line := `{"kind":"audit_log","action":"VIEW","reason":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\u0000é<>&","metadata":{"n": 1.10,"x":"\u0041"}}`
	e, err := DecodeEvent([]byte(line), DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := e.Get("reason"), "\"\\/\b\f\n\r\té😀␀é<>&"; got != want {
		t.Errorf("reason: got %q, want %q", got, want)
	}
	if got, want := e.Get("metadata"), `{"n": 1.10,"x":"\u0041"}`; got != want {
		t.Errorf("metadata: got %s, want %s", got, want)
	}
}

func TestAppendJSONOfDamagedEvent(t *testing.T) {
	e := NewEvent(KindSystemEvent)
	e.Set("title", "a\xffb\u2028c\x7f")
	e.Set("line_number", "twelve")
	e.Set("resolved", "perhaps")
	e.Set("metadata", "{\n")
	want := `{"kind":"system_event","title":"a` + "\ufffd" + `b\u2028c\u007f","line_number":"twelve","metadata":"{\n","resolved":"perhaps"}`
	got := AppendJSON(nil, e, nil)
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !json.Valid(got) {
		t.Errorf("got invalid JSON %s", got)
	}
}

func TestParseChanges(t *testing.T) {
	tests := []struct {
		raw  string
		want []Change
	}{
		{`{"z":{"old": 1.0,"new":null},"a":{"new":"x"}}`, []Change{
			{Field: "z", Old: "1.0", New: "null", HasOld: true, HasNew: true},
			{Field: "a", New: `"x"`, HasNew: true}}},
		{`{"a":{"old":[1]}}`, []Change{{Field: "a", Old: "[1]", HasOld: true}}},
		{`{"field": "new_value"}`, []Change{{Field: "field", New: `"new_value"`, HasNew: true}}},
		{`{"a":{"old":1,"new":2,"by":"x"}}`, []Change{{Field: "a", New: `{"old":1,"new":2,"by":"x"}`, HasNew: true}}},
		{`{"a":{}}`, []Change{{Field: "a", New: `{}`, HasNew: true}}},
		{`{}`, []Change{}},
		{`[]`, nil}, {``, nil}, {`{"a":`, nil}, {`"x"`, nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, ParseChanges(tt.raw)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.raw, diff)
		}
	}
}

// sameEvent compares events but for what they only remember.
var sameEvent = cmp.Options{cmp.AllowUnexported(Event{}), cmpopts.IgnoreFields(Event{}, "valid")}

// checkValid checks that what an event takes for valid JSON is.
func checkValid(t *testing.T, e *Event) {
	t.Helper()
	for _, text := range e.valid {
		if text == "" {
			continue
		}
		if nul, err := checkJSON(text); err != nil || nul {
			t.Fatalf("%q is taken for valid JSON without U+0000: %v", text, err)
		}
	}
}

// FuzzDecodeEvent checks that what is read agrees with encoding/json where that
// is strict enough, and survives being written and read again.
func FuzzDecodeEvent(f *testing.F) {
	f.Add([]byte(exampleLine))
	f.Add([]byte(`{"kind":"system_event","event_type":"error","title":"\u0000\ud83d\ude00","line_number":"7","resolved":true,"ip_address":"fe80::1%x","metadata":[1e5,"\u0000"]}`))
	f.Add([]byte(`{"kind":"login_attempt","status":"FAILED","username":"","ip_address":"?","metadata":{"address":1}}`))
	f.Add([]byte(`{"kind":"data_export","export_type":"ſ","filters_applied":null,"file_size":-0}{}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := DecodeEvent(line, DecodeOptions{Import: true})
		if err != nil {
			var fe *FieldError
			if !errors.As(err, &fe) || fe.Problem == "" {
				t.Fatalf("got error %#v, want a *FieldError", err)
			}
			return
		}
		if !json.Valid(line) {
			t.Fatalf("accepted %q, which encoding/json refuses", line)
		}
		checkValid(t, e)
		asked := NewEventWithValues(e.Kind, slices.Clone(e.Values())) // which remembers nothing
		asked.EventID, asked.Source = e.EventID, e.Source
		err, wanted := e.Normalize(testNow), asked.Normalize(testNow)
		if fmt.Sprint(err) != fmt.Sprint(wanted) || err == nil && cmp.Diff(asked, e, sameEvent) != "" {
			t.Fatalf("normalizing: got %v, and %v where nothing is remembered; %s", err, wanted, cmp.Diff(asked, e, sameEvent))
		}
		checkValid(t, e)
		if err != nil {
			return
		}
		once := NewEventWithValues(e.Kind, slices.Clone(e.Values()))
		once.EventID, once.Source = e.EventID, e.Source
		if err := e.Normalize(testNow); err != nil {
			t.Fatalf("normalizing twice: %v", err)
		}
		if diff := cmp.Diff(once, e, sameEvent); diff != "" {
			t.Fatalf("normalizing twice (-once +twice):\n%s", diff)
		}
		written := AppendJSON(nil, e, &Recorded{ID: 1, Seq: 2, RecordedAt: testNow})
		if !json.Valid(written) || strings.ContainsAny(string(written), "\r\n\x00") {
			t.Fatalf("wrote %q", written)
		}
		again, err := DecodeEvent(written, DecodeOptions{Import: true})
		if err != nil {
			t.Fatalf("reading %q again: %v", written, err)
		}
		if diff := cmp.Diff(e, again, sameEvent); diff != "" {
			t.Fatalf("round trip of %q (-want +got):\n%s", written, diff)
		}
	})
}

// histories are real row changes; see SOURCE.md beside them.
var histories = []string{"history-endoflife", "history-simple-icons", "history-sp500"}

// eachHistoryLine calls fn with every line of the history, or skips the test.
func eachHistoryLine(t testing.TB, name string, fn func(line []byte)) {
	t.Helper()
	file, err := os.Open(need.Shared(t, "data/"+name+"/events.ndjson.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zr, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(zr)
	lines.Buffer(nil, MaxImportLine)
	for lines.Scan() {
		fn(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestRealHistories(t *testing.T) {
	for _, name := range histories {
		t.Run(name, func(t *testing.T) {
			var got, want struct {
				Events   int            `json:"events"`
				First    string         `json:"first"`
				Last     string         `json:"last"`
				Actors   int            `json:"actors"`
				Objects  int            `json:"objects"`
				ByAction map[string]int `json:"by_action"`
			}
			got.ByAction = map[string]int{}
			actors, objects := map[string]bool{}, map[string]bool{}
			eachHistoryLine(t, name, func(line []byte) {
				e, err := DecodeEvent(line, DecodeOptions{Import: true})
				if err != nil {
					t.Fatalf("%v in %s", err, line)
				}
				if err := e.Normalize(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)); err != nil {
					t.Fatalf("%v in %s", err, line)
				}
				if ParseChanges(e.Get("changes")) == nil {
					t.Fatalf("no changes in %s", line)
				}
				again, err := DecodeEvent(AppendJSON(nil, e, nil), DecodeOptions{Import: true})
				if err != nil || !slices.Equal(e.Values(), again.Values()) {
					t.Fatalf("round trip: got %q, %v, want %q", again.Values(), err, e.Values())
				}
				if got.Events == 0 {
					got.First = e.Time().Format(time.RFC3339)
				}
				got.Last = e.Time().Format(time.RFC3339)
				got.Events++
				got.ByAction[e.Get("action")]++
				actors[e.Get("username")] = true
				objects[e.Get("content_type")+"|"+e.Get("object_id")] = true
			})
			got.Actors, got.Objects = len(actors), len(objects)
			facts, err := os.ReadFile(need.Shared(t, "data/"+name+"/events.facts.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(facts, &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("counts (-facts +got):\n%s", diff)
			}
		})
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	line := []byte(exampleLine)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeEvent(line, DecodeOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkNormalize(b *testing.B) {
	e, err := DecodeEvent([]byte(exampleLine), DecodeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	now := testNow.Add(time.Hour)
	for b.Loop() {
		if err := e.Normalize(now); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkAppendJSON(b *testing.B) {
	e, err := DecodeEvent([]byte(exampleLine), DecodeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendJSON(buf[:0], e, nil)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// slowString is scanner.str, byte by byte.
func slowString(text string) (inside string, ok bool) {
	s := scanner{text: text}
	for i := 1; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			raw := text[1:i]
			return unescape(raw), utf8.ValidString(raw)
		case c < ' ':
			return "", false
		case c == '\\':
			n, err := s.escape(i)
			if err != nil {
				return "", false
			}
			i += n
		default:
			i++
		}
	}
	return "", false
}

// FuzzString checks strings that are read by eight bytes against those read by one.
func FuzzString(f *testing.F) {
	for _, s := range []string{``, `"`, `a"`, `12345678"`, `1234567"9`, `1234567\`, `12345678\n"`, "1234\x1f5678\"", "12345678\x7f\"", "é2345678é\"", "\xff2345678\"",
		`\u0000\ud83d\ude00 1234"`, `1234567890123456789012345678901"x`, "\x00", "abc\xc3", `!!!!!!!!"`, "\x21\x20\x1f\x20\x21\x22"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = `"` + text
		s := scanner{text: text}
		got, err := s.str()
		want, ok := slowString(text)
		if (err == nil) != ok || ok && got != want {
			t.Fatalf("%q: got %q, %v; want %q, %t", text, got, err, want, ok)
		}
		for i := range len(text) - 7 {
			n := 0
			for n < 8 && text[i+n] >= ' ' && text[i+n] < utf8.RuneSelf && text[i+n] != '"' && text[i+n] != '\\' {
				n++
			}
			if got := plainBytes(text[i : i+8]); got != n {
				t.Fatalf("%q: got %d plain bytes, want %d", text[i:i+8], got, n)
			}
		}
	})
}

package format

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// plainRow is a row of a table as one would write it without a thought of time.
func plainRow(s *db.Stored) string {
	const layout = "2006-01-02T15:04:05.000000Z"
	cells := []string{strconv.FormatInt(s.ID, 10), strconv.FormatInt(s.Seq, 10), s.RecordedAt.UTC().Format(layout)}
	for _, v := range append([]string{s.Source, s.EventID}, s.Values()...) {
		if guarded := Guard(v); guarded != v || strings.ContainsAny(v, "\",;\t\r\n ") {
			v = `"` + strings.ReplaceAll(guarded, `"`, `""`) + `"`
		}
		cells = append(cells, v)
	}
	return strings.Join(cells, ",") + "\r\n"
}

// plainLine is the same of a line of JSON.
func plainLine(s *db.Stored) string {
	line := `{"kind":"` + string(s.Kind) + `","id":"` + strconv.FormatInt(s.ID, 10) + `","seq":` + strconv.FormatInt(s.Seq, 10) +
		`,"recorded_at":"` + s.RecordedAt.UTC().Format("2006-01-02T15:04:05.000000Z") + `"`
	add := func(name, value string) { line += `,"` + name + `":` + value }
	for _, m := range [][2]string{{"source", s.Source}, {"event_id", s.EventID}} {
		if m[1] != "" {
			add(m[0], plainString(m[1]))
		}
	}
	for i, f := range s.Kind.Fields() {
		v := s.Values()[i]
		_, err := strconv.ParseInt(v, 10, 64)
		switch {
		case v == "" && !f.EmptyAllowed:
		case f.Type == audit.JSON:
			add(f.Name, strings.NewReplacer("\n", " ", "\r", " ").Replace(v))
		case f.Type == audit.Integer && err == nil, f.Type == audit.Boolean:
			add(f.Name, v)
		default:
			add(f.Name, plainString(v))
		}
	}
	if s.Damaged != nil {
		line += `,"damaged":["` + strings.Join(s.Damaged, `","`) + `"]`
	}
	return line + "}\n"
}

func plainString(v string) string {
	var out strings.Builder
	for _, r := range v { // of what is no UTF-8, U+FFFD
		switch {
		case r == '"' || r == '\\':
			out.WriteString(`\` + string(r))
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	return `"` + out.String() + `"`
}

// differ says where two texts part.
func differ(got, want string) string {
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	from := max(0, at-40)
	return fmt.Sprintf("at byte %d: got …%.80q, want …%.80q", at, got[from:], want[from:])
}

// FuzzForms writes events of every kind that hold any text at all, and compares
// every byte with what the plainest of programs writes.
func FuzzForms(f *testing.F) {
	for i, s := range []string{"", "a", "12345678", "1234567\"", "\"\"\"\"\"\"\"\"\"", "plain words, and eight", "\xff", "1234567\xff89", "é1234567", "12345678é\u2028x", "\x7f", "\x00\x01\x1f", "=1+1", " ＝1", "'=1", "tab\tand\r\nlines;",
		`{"a":{"old":"1","new":[null,"x\u00e9"]}}`, "{\n\"a\": 1,\r\n\"b\":\r2}", strings.Repeat(`long "and" odd é\`, 900), "-12", "007", "9223372036854775808"} {
		f.Add(s, uint64(i), int64(i)*1_234_567_890_123_456)
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64, micro int64) {
		random := rand.New(rand.NewPCG(seed, 1))
		odd := func() string { // the text, or a part of it
			from := random.IntN(len(text) + 1)
			return text[from : from+random.IntN(len(text)+1-from)]
		}
		for _, kind := range audit.Kinds() {
			e := audit.NewEvent(kind)
			e.Source, e.EventID = odd(), odd()
			for i, field := range kind.Fields() {
				switch field.Type {
				case audit.Boolean:
					e.Values()[i] = []string{"", "true"}[random.IntN(2)]
				case audit.Integer:
					e.Values()[i] = []string{"", strconv.FormatUint(random.Uint64()>>1, 10), "-3"}[random.IntN(3)]
				case audit.JSON: // which the database has looked at
					e.Values()[i] = []string{"", `{"a":"x"}`, "[1,\n2,\r\n3]", text}[random.IntN(3)]
				default:
					e.Values()[i] = []string{"", text, odd(), odd()}[random.IntN(4)]
				}
			}
			s := &db.Stored{Event: e, ID: random.Int64(), Seq: random.Int64(), RecordedAt: time.UnixMicro(micro)}
			if random.IntN(4) == 0 {
				s.Damaged = []string{"timestamp", "metadata"}
			}
			if got, want := string(appendRow([]byte("before"), s)), "before"+plainRow(s); got != want {
				t.Errorf("a row of %s %s", kind, differ(got, want))
			}
			if got, want := string(appendLine([]byte("before"), s)), "before"+plainLine(s); got != want {
				t.Errorf("a line of %s %s", kind, differ(got, want))
			}
		}
	})
}

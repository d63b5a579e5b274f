package diff

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// say writes a value for a test: marks as [-…-] and {+…+}, states in brackets.
func say(v Value) string {
	if v.State != Given {
		return "<" + string(v.State) + ">"
	}
	var b strings.Builder
	for _, s := range v.Segments {
		switch s.Kind {
		case Removed:
			b.WriteString("[-" + s.Text + "-]")
		case Added:
			b.WriteString("{+" + s.Text + "+}")
		default:
			b.WriteString(s.Text)
		}
	}
	return b.String()
}

func sayRow(r Row) string {
	if r.Shape == JSON {
		out := []string{fmt.Sprintf("%s JSON %d of %d", r.Name, r.Differ(), r.Total())}
		for _, e := range r.Elements {
			out = append(out, "  "+sayRow(e))
		}
		for _, l := range r.Unchanged.Leaves {
			out = append(out, "  = "+l.Path+" "+l.JSON)
		}
		return strings.Join(out, "\n")
	}
	s := fmt.Sprintf("%s %s %s | %s", r.Name, r.Shape, say(r.Before), say(r.After))
	if r.Delta != "" {
		s += " (" + r.Delta + ")"
	}
	if r.Places > 0 {
		s += fmt.Sprintf(" %d places", r.Places)
	}
	if r.OnlySpace {
		s += " only space"
	}
	if r.OtherType {
		s += " " + r.Before.Type + " to " + r.After.Type
	}
	if r.Shape == Secret {
		s += " " + string(r.Secrets)
	}
	return s
}

func TestNew(t *testing.T) {
	tests := []struct{ name, changes, want string }{
		{"scalars keep their order", `{"z":{"old":"paid","new":"refunded"},"a":{"old":true,"new":false}}`,
			"z value paid | refunded\na value true | false"},
		{"unchanged fields have no row", `{"a":{"old":1,"new":1},"b":{"old":{"x":1,"y":2},"new":{"y":2,"x":1}},"c":{"old":null,"new":"x"}}`,
			"c value <null> | x"},
		{"nothing in three ways", `{"a":{"old":"","new":null},"b":{"new":""},"c":{"old":"x"}}`,
			"a value <empty> | <null>\nb value <missing> | <empty>\nc value x | <missing>"},
		{"the seed's own shape", `{"field":"new_value"}`, "field value <missing> | new_value"},
		{"numbers, exactly", `{"a":{"old":0.1,"new":0.3},"b":{"old":"130.60","new":"155.60"},"c":{"old":9007199254740993,"new":9007199254740992},"d":{"old":1.0,"new":1.00},"e":{"old":1e5,"new":2e5},"f":{"old":-2,"new":0.05}}`,
			"a number 0.1 | 0.3 (+0.2)\nb number 130.60 | 155.60 (+25.00)\nc number 9007199254740993 | 9007199254740992 (−1)\n" +
				"d value 1.0 | 1.00\ne value 1e5 | 2e5\nf number -2 | 0.05 (+2.05)"},
		{"a changed word", `{"t":{"old":"The order was paid by card.","new":"The order was refunded by card."}}`,
			"t text The order was [-paid-] by card. | The order was {+refunded+} by card. 1 places"},
		{"words side by side are one mark", `{"t":{"old":"one two three four five six","new":"one zwei drei four five six"}}`,
			"t text one [-two three-] four five six | one {+zwei drei+} four five six 1 places"},
		{"a text of its own", `{"t":{"old":"nothing is alike","new":"entirely other words"}}`, "t value nothing is alike | entirely other words"},
		{"white space", `{"t":{"old":"a b\tc","new":"a  b c"},"u":{"old":"ab","new":"a b"},"v":{"old":" ","new":"x"}}`,
			"t text a b[-→-]c | a {+·+}b{+·+}c 2 places only space\nu text ab | a{+·+}b 1 places only space\nv value · | x"},
		{"types", `{"a":{"old":"5","new":5},"b":{"old":[1],"new":{"a":1}}}`, "a value 5 | 5 string to number\nb value [1] | {\"a\": 1} array to object"},
		{"secrets", `{"a":{"old":"***0123456789ab","new":"***ba9876543210"},"b":{"old":"***","new":"***"},"c":{"old":null,"new":"***0123456789ab"},"d":{"old":"***0123456789ab","new":"***0123456789ab"}}`,
			"a secret ***0123456789ab | ***ba9876543210 other\nb secret *** | *** \nc secret <null> | ***0123456789ab "},
		{"a list of scalars", `{"tags":{"old":["web","first-order",3],"new":["web","goodwill",3]}}`,
			`tags list ["web", [-"first-order"-], 3] | ["web", {+"goodwill"+}, 3] 1 places`},
		{"nested", `{"payment":{"old":{"refund":{"to":"card","amount":0.00},"gift_cards":[{"code":"GC-6650","amount":37.60}],"risk":{"score":12,"hold":"2026-04-02"},"tags":["web","a"],"a key":1},
			"new":{"refund":{"to":"gift_card","amount":25.00},"gift_cards":[{"code":"GC-6650","amount":37.60},{"code":"GC-8841","amount":25.00}],"risk":{"score":12},"tags":["web","b"],"a key":2}}}`,
			`payment JSON 6 of 9
  .refund.to value "card" | "gift_card"
  .refund.amount number 0.00 | 25.00 (+25.00)
  .gift_cards[1] value <missing> | {"code": "GC-8841", "amount": 25.00}
  .risk.hold value "2026-04-02" | <missing>
  .tags[] list ["web", [-"a"-]] | ["web", {+"b"+}] 1 places
  ["a key"] number 1 | 2 (+1)
  = .gift_cards[0].code "GC-6650"
  = .gift_cards[0].amount 37.60
  = .risk.score 12`},
		{"elements are known by their id", `{"lines":{"old":[{"id":1,"n":1},{"id":2,"n":5},{"id":3,"n":1}],"new":[{"id":2,"n":6},{"id":3,"n":1},{"id":4,"n":1}]}}`,
			`lines JSON 3 of 6
  [0] value {"id": 1, "n": 1} | <missing>
  [0].n number 5 | 6 (+1)
  [2] value <missing> | {"id": 4, "n": 1}
  = [0].id 2
  = [1].id 3
  = [1].n 1`},
		{"JSON in strings", `{"data":{"old":"{\"a\":1,\"b\":2}","new":"{\"a\":1,\"b\":3}"}}`, "data JSON 1 of 2\n  .b number 2 | 3 (+1)\n  = .a 1"},
		{"no changes", `[1]`, ""}, {"damaged", `{"a":`, ""},
	}
	for _, tt := range tests {
		var rows []string
		for _, r := range New(tt.changes).Rows {
			rows = append(rows, sayRow(r))
		}
		got := strings.Join(rows, "\n")
		if got != tt.want {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestFold(t *testing.T) {
	before := strings.Repeat("lorem ipsum ", 300) + "EUR 155.60 " + strings.Repeat("dolor sit ", 300)
	changes := fmt.Sprintf(`{"html":{"old":%q,"new":%q},"log":{"new":%q}}`, before, strings.Replace(before, "155", "130", 1), before)
	rows := New(changes).Rows
	want := "html text … ipsum lorem ipsum lorem ipsum lorem ipsum lorem ipsum EUR [-155.60-] dolor sit dolor sit dolor sit dolor sit dolor sit dolor … | " +
		"… ipsum lorem ipsum lorem ipsum lorem ipsum lorem ipsum EUR {+130.60+} dolor sit dolor sit dolor sit dolor sit dolor sit dolor … 1 places"
	if got := sayRow(rows[0]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := text(rows[0].Before.Full); got != before {
		t.Errorf("the full text before: got %d bytes, want %d", len(got), len(before))
	}
	v := rows[1].After
	if got := text(v.Segments); !strings.HasPrefix(before, strings.TrimSuffix(got, "…")) || utf8.RuneCountInString(got) > headLength+1 || v.Length != len(before) {
		t.Errorf("head of a long value: got %q of %d", got, v.Length)
	}
}

func text(all []Segment) string {
	var b strings.Builder
	for _, s := range all {
		b.WriteString(s.Text)
	}
	return b.String()
}

// TestHostile gives what nobody sends: the answer has to come soon, and be small.
// The limit of time is wide, so that a busy machine does not fail it.
func TestHostile(t *testing.T) {
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, format, i, i)
		}
		return b.String()
	}
	words := func(n, step int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "w%d ", i*step%7919)
		}
		return b.String()
	}
	tests := map[string]string{
		"a megabyte of text":       `{"t":{"old":"` + strings.Repeat("a b ", 250_000) + `","new":"` + strings.Repeat("b a ", 250_000) + `"}}`,
		"64 KiB of other words":    `{"t":{"old":"` + words(9000, 1) + `","new":"` + words(9000, 31) + `"}}`,
		"many long texts":          `{` + many(30, `"f%d":{"old":"`+words(4000, 1)+`","new":"%d `+words(4000, 31)+`"}`) + `}`,
		"ten thousand fields":      `{` + many(10_000, `"f%d":{"old":"some text here","new":"some text %d"}`) + `}`,
		"ten thousand elements":    `{"l":{"old":[` + many(10_000, `{"id":%d,"v":%d}`) + `],"new":[` + many(10_000, `{"v":%d,"id":1%d}`) + `]}}`,
		"lists of other scalars":   `{"l":{"old":[` + many(20_000, `%d,"%d"`) + `],"new":[` + many(20_000, `"%d",%d`) + `]}}`,
		"deep":                     `{"d":{"old":` + strings.Repeat("[", 30) + "1" + strings.Repeat("]", 30) + `,"new":` + strings.Repeat("[", 30) + "2" + strings.Repeat("]", 30) + `}}`,
		"deep within a string":     `{"d":{"old":"` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `","new":"` + strings.Repeat("[", 9001) + strings.Repeat("]", 9001) + `"}}`,
		"nothing but line breaks":  `{"t":{"old":"` + strings.Repeat(`\n`, 30_000) + `","new":"` + strings.Repeat(`\n \t`, 6_000) + `"}}`,
		"wide objects at each end": `{"o":{"old":{` + many(10_000, `"a%d":%d`) + `},"new":{` + many(10_000, `"b%d":%d`) + `}}}`,
	}
	for name, changes := range tests {
		start := time.Now()
		table := New(changes)
		took := time.Since(start)
		t.Logf("%s: %d bytes in %s", name, len(changes), took.Round(time.Millisecond))
		if took > time.Minute {
			t.Errorf("%s: took %s", name, took)
		}
		check(t, name, table)
		if len(table.Rows)+table.More+table.Unchanged.Count == 0 {
			t.Errorf("%s: got nothing, want rows", name)
		}
	}
}

// check fails if a table breaks one of its own promises.
func check(t *testing.T, name string, table *Table) {
	t.Helper()
	size := 0
	value := func(v Value, wrong Mark) {
		if (v.State == Given) != (len(v.Segments) > 0) {
			t.Fatalf("%s: a %s value with %d segments", name, v.State, len(v.Segments))
		}
		for _, all := range [][]Segment{v.Segments, v.Full} {
			for _, s := range all {
				size += len(s.Text)
				if s.Text == "" || s.Kind == wrong {
					t.Fatalf("%s: got the segment %+v on this side", name, s)
				}
			}
		}
	}
	var rows func(all []Row)
	rows = func(all []Row) {
		for _, r := range all {
			if r.Shape == JSON {
				rows(r.Elements)
				continue
			}
			value(r.Before, Added)
			value(r.After, Removed)
			if !r.OnlySpace && r.Shape != JSON && !r.Before.Cut && !r.After.Cut && len(r.Before.Full)+len(r.After.Full) == 0 &&
				r.Shape == Text && text(r.Before.Segments) == text(r.After.Segments) {
				t.Fatalf("%s: %s has the same text twice: %q", name, r.Name, text(r.Before.Segments))
			}
		}
	}
	rows(table.Rows)
	if len(table.Rows) > maxFields || size > 2*maxTable+(1<<20) {
		t.Fatalf("%s: got %d rows of %d bytes", name, len(table.Rows), size)
	}
}

func FuzzNew(f *testing.F) {
	f.Add(`{"a":{"old":"one two","new":"one three"},"b":{"old":[1,{"id":1}],"new":[{"id":1,"x":[]},2]}}`)
	f.Add(`{"a":{"old":"{\"x\":[1]}","new":"{\"x\":[2]}"},"b":{"old":"***","new":"***0123456789ab"}}`)
	f.Add(`{"a":{"old":"é à 中文字 x\u0301","new":"é  à 中字\n"},"b":5}`)
	f.Fuzz(func(t *testing.T, changes string) {
		check(t, "fuzz", New(changes))
		// Anything is a value too.
		check(t, "fuzz", New(`{"f":{"old":`+quote(changes)+`,"new":`+quote(strings.ToUpper(changes))+`}}`))
		Show(changes)
	})
}

package query

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/audit"
)

var (
	testNow  = time.Date(2026, 3, 31, 12, 35, 10, 0, time.UTC)
	testZone = mustZone("Europe/Paris")
	testAt   = Options{Now: testNow, Zone: testZone}
)

func mustZone(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return zone
}

func mustParse(t *testing.T, kind audit.Kind, q string) *Filter {
	t.Helper()
	f, err := Parse(kind, q, testAt)
	if err != nil {
		t.Fatalf("Parse(%s, %s): %v", kind, q, err)
	}
	return f
}

// describe writes a filter's terms so that a reader sees how they were read:
// each value in brackets, with a star where it is a start.
func describe(f *Filter) string {
	var terms []string
	for _, t := range f.Terms {
		s := t.Field.Key + "="
		if t.Not {
			s = "not " + s
		}
		for _, v := range t.Values {
			s += "[" + v.Text + "]"
			if v.Prefix {
				s += "*"
			}
		}
		terms = append(terms, s)
	}
	return strings.Join(terms, " ")
}

func TestParse(t *testing.T) {
	const (
		al = audit.KindAuditLog
		la = audit.KindLoginAttempt
		de = audit.KindDataExport
		se = audit.KindSystemEvent
	)
	tests := []struct {
		kind  audit.Kind
		query string
		want  string // as describe writes it
		text  string // the canonical query, where it is another
	}{
		{al, ``, ``, ``},
		{al, " \t\n ", ``, ` `},
		{al, `user:alice action:DELETE,UPDATE type:shop.order -module:auth ip:10.0.0.0/8 after:2026-03-01 "gift card"`,
			`user=[alice] action=[DELETE][UPDATE] type=[shop.order] not module=[auth] ip=[10.0.0.0/8] after=[2026-03-01] =[gift card]`, ``},
		{al, `  gift   card `, `=[gift] =[card]`, `gift card`},
		{al, "gift\u00a0card", `=[gift] =[card]`, `gift card`},
		{al, `User:alice MODULE:shop`, `user=[alice] module=[shop]`, `user:alice module:shop`},
		{al, `user:Alice`, `user=[Alice]`, ``},

		// What is a key, and what is a word.
		{al, `http://x/y?a:b`, `=[http://x/y?a:b]`, ``},
		{al, `std::vector`, `=[std::vector]`, ``},
		{al, `2001:db8::1`, `=[2001:db8::1]`, ``},
		{al, `fe80:0:0:0:0:0:0:1`, `=[fe80:0:0:0:0:0:0:1]`, ``},
		{al, `fe80::1 dead:beef::1 dead:beef::/32`, `=[fe80::1] =[dead:beef::1] =[dead:beef::/32]`, ``},
		{al, `10:30 14:05:09`, `=[10:30] =[14:05:09]`, ``},
		{al, `user_id:7 shop.order:1`, `=[user_id:7] =[shop.order:1]`, ``},
		{al, `:x :`, `=[:x] =[:]`, ``},
		{al, `"user:alice"`, `=[user:alice]`, ``},
		{al, `user:a:b user:http://x`, `user=[a:b] user=[http://x]`, ``},
		{se, `resolved-by:ines`, `resolved-by=[ines]`, ``},

		// Not.
		{al, `-module:auth -"gift card" -word`, `not module=[auth] not =[gift card] not =[word]`, ``},
		{al, `- a - b`, `=[-] =[a] =[-] =[b]`, ``},
		{al, `-- --x "-x"`, `not =[-] not =[-x] =[-x]`, `-- -"-x" "-x"`},
		{al, `a-b user:-bob`, `=[a-b] user=[-bob]`, ``},

		// Or, which is nothing special in free text.
		{al, `user:a,b,"c,d"`, `user=[a][b][c,d]`, ``},
		{al, `1,000 a,b`, `=[1,000] =[a,b]`, ``},

		// Quotes.
		{al, `user:"alice smith"`, `user=[alice smith]`, ``},
		{al, `user:"alice"`, `user=[alice]`, ``},
		{al, `user:"al""ice" """" "a"""`, `user=[al"ice] =["] =[a"]`, ``},
		{al, `module:"C:\temp\" reason:\n`, `module=[C:\temp\] reason=[\n]`, ``},
		{al, `user:""`, `user=[]`, ``},
		{al, `-user:"",alice`, `not user=[][alice]`, ``},
		{al, "\"a\nb\"", "=[a\nb]", ``},
		{al, `user:"a*b*"`, `user=[a*b*]`, ``},

		// Starts with.
		{al, `user:al*,bob`, `user=[al]*[bob]`, ``},
		{al, `type:"shop order"*`, `type=[shop order]*`, ``},
		{al, `gift* * a*b "gift*" -gi*`, `=[gift] =[*] =[a*b] =[gift*] not =[gi]`, `gift * a*b "gift*" -gi`},
		{al, `repr:Order* old:a** new:a*b`, `repr=[Order]* old=[a*]* new=[a*b]`, `repr:Order* old:"a*"* new:"a*b"`},
		{la, `status:F* status:failed`, `status=[F]* status=[failed]`, ``},

		// Addresses.
		{al, `ip:10.1.2.3 ip:10.1.2.3/8 ip:10.1.2.3/32`, `ip=[10.1.2.3] ip=[10.0.0.0/8] ip=[10.1.2.3]`, `ip:10.1.2.3 ip:10.0.0.0/8 ip:10.1.2.3`},
		{al, `ip:::ffff:10.1.2.3 ip:::ffff:10.1.2.3/104`, `ip=[10.1.2.3] ip=[10.0.0.0/8]`, `ip:10.1.2.3 ip:10.0.0.0/8`},
		{al, `ip:::1 ip:::/0,10.0.0.1 ip:::x`, `ip=[::1] ip=[::/0][10.0.0.1] =[ip:::x]`, `ip:"::1" ip:"::/0",10.0.0.1 ip:::x`},
		{al, `user:/x user::x user:"/x"`, `=[user:/x] =[user::x] user=[/x]`, ``},
		{al, `ip:2001:DB8:0:0::1 ip:2001:db8::/32,::1`, `ip=[2001:db8::1] ip=[2001:db8::/32][::1]`, `ip:2001:db8::1 ip:2001:db8::/32,"::1"`},
		{al, `ip:10.3.* ip:10.* ip:2001:db8:*`, `ip=[10.3.0.0/16] ip=[10.0.0.0/8] ip=[2001:db8::/32]`, `ip:10.3.0.0/16 ip:10.0.0.0/8 ip:2001:db8::/32`},
		{al, `ip:"" -ip:""`, `ip=[] not ip=[]`, ``},

		{de, `rows:>1000 rows:>=10 rows:<5 rows:<=5 rows:10..20 rows:42 rows:..9 rows:1.. rows:""`,
			`rows=[>1000] rows=[>=10] rows=[<5] rows=[<=5] rows=[10..20] rows=[42] rows=[..9] rows=[1..] rows=[]`, ``},
		{de, `rows:100,200 size:>=1.5MB size:1KiB..2kib`, `rows=[100][200] size=[>=1.5MB] size=[1KiB..2kib]`, ``},
		{se, `is:unresolved,resolved is:Unresolved`, `is=[unresolved][resolved] is=[Unresolved]`, ``},
		{se, `event:error,SECURITY`, `event=[error][SECURITY]`, ``},
		{al, `id:1817254911344640000`, `id=[1817254911344640000]`, ``},
		{al, `last:24h last:7d,2W last:5m`, `last=[24h] last=[7d][2W] last=[5m]`, ``},
		{al, `on:2026,2026-03,2026-03-01,2026-03-01T14,2026-03-01t14:05,2026-03-01T14:05:09,2026-03-01T14:05:09.5+02:00`,
			`on=[2026][2026-03][2026-03-01][2026-03-01T14][2026-03-01t14:05][2026-03-01T14:05:09][2026-03-01T14:05:09.5+02:00]`, ``},
		{al, `source:import* recorded:2026-03-01`, `source=[import]* recorded=[2026-03-01]`, ``},
	}
	for _, tt := range tests {
		f, err := Parse(tt.kind, tt.query, testAt)
		if err != nil {
			t.Errorf("Parse(%s, %s): %v", tt.kind, tt.query, err)
			continue
		}
		if got := describe(f); got != tt.want {
			t.Errorf("Parse(%s, %s):\n got %s\nwant %s", tt.kind, tt.query, got, tt.want)
		}
		want := tt.text
		if want == "" {
			want = tt.query
		}
		if got := f.String(); got != strings.TrimSpace(want) {
			t.Errorf("Parse(%s, %s).String()\n got %s\nwant %s", tt.kind, tt.query, got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const (
		al = audit.KindAuditLog
		la = audit.KindLoginAttempt
		de = audit.KindDataExport
		se = audit.KindSystemEvent
	)
	tests := []struct {
		kind       audit.Kind
		query      string
		at         string // the wrong word, which begins at Position
		message    string // a part of the message
		suggestion string
	}{
		// Keys.
		{al, `usr:alice`, `usr`, `audit logs have no key usr:`, `user`},
		{al, `gift usre:alice`, `usre`, `no key usre:`, `user`},
		{al, `mod:auth`, `mod`, `no key mod:`, `module`},
		{al, `-modul:auth`, `modul`, `no key modul:`, `module`},
		{al, `since:2026`, `since`, `no key`, `after`},
		{al, `a:`, `a`, `no key a:`, `action`},
		{al, `--module:auth`, `-module`, `no key -module:`, `module`},
		{al, `größe:5`, `größe`, `no key größe:`, ``},
		{al, `status:FAILED`, `status`, `status: is a key of login attempts, not of audit logs`, ``},
		{la, `module:auth`, `module`, `module: is a key of audit logs and system events, not of login attempts`, ``},
		{de, `level:error`, `level`, `no key`, ``},
		{se, `level:error`, `level`, `no key`, `event`},

		// Missing values.
		{al, `user:`, ``, `a value is missing after user:`, ``},
		{al, `user: alice`, ` alice`, `a value is missing after user:`, ``},
		{al, `user:alice,`, ``, `after the comma`, ``},
		{al, `user:alice,,bob`, `,bob`, `after the comma`, ``},
		{al, `user:,bob`, `,bob`, `before the comma`, ``},
		{al, `user:*`, `*`, `a star alone`, `""`},
		{al, `""`, `""`, `nothing between the quotes`, ``},
		{al, `-""`, `""`, `nothing between the quotes`, ``},

		// Quotes.
		{al, `gift "card`, `"card`, `not closed`, ``},
		{al, `user:"alice`, `"alice`, `not closed`, ``},
		{al, `user:bob,"alice""`, `"alice""`, `not closed`, ``},
		{al, `"`, `"`, `not closed`, ``},
		{al, `gift"card`, `"card`, `inside a word`, `"gift""card"`},
		{al, `user:5"`, `"`, `inside a word`, `"5"""`},
		{al, `"a"b`, `b`, `a space is missing`, ``},
		{al, `user:"a"b`, `b`, `a comma or a space is missing`, ``},

		// Values.
		{al, `user:a*b`, `a*b`, `only at the end`, `"a*b"`},
		{al, `user:*bob`, `*bob`, `only at the end`, `"*bob"`},
		{la, `status:FAILD`, `FAILD`, `SUCCESS, FAILED or BLOCKED`, `FAILED`},
		{la, `status:X*`, `X*`, `status: has no value`, ``},
		{se, `is:unresolve`, `unresolve`, `unresolved or resolved`, `unresolved`},
		{se, `is:open`, `open`, `unresolved or resolved`, `unresolved`},
		{se, `is:un*`, `un*`, `no values that start with`, `un`},
		{se, `is:""`, `""`, `never empty`, ``},
		{al, `ip:local`, `local`, `not an address`, ``},
		{al, `ip:10.3`, `10.3`, `not an address`, `10.3.*`},
		{al, `ip:10.3*`, `10.3*`, `10.3.*`, `10.3.*`},
		{al, `ip:10.0.0.1,300.0.0.1`, `300.0.0.1`, `not an address`, ``},
		{al, `ip:10.0.0.0/33`, `10.0.0.0/33`, `not an address`, ``},
		{al, `ip:fe80::1%eth0`, `fe80::1%eth0`, `not an address`, ``},
		{al, `ip:1.2.3.4.*`, `1.2.3.4.*`, `first parts`, ``},
		{de, `rows:abc`, `abc`, `not a number`, ``},
		{de, `rows:1KB`, `1KB`, `not a number`, ``},
		{de, `rows:>`, `>`, `not a number`, ``},
		{de, `rows:..`, `..`, `not a number`, ``},
		{de, `rows:20..10`, `20..10`, `ends before it begins`, `10..20`},
		{de, `rows:>1,000`, `000`, `a comma means or`, `>1000`},
		{de, `rows:9999999999999999999`, `9999999999999999999`, `not a number`, ``},
		{de, `size:1XB`, `1XB`, `not a number`, ``},
		{de, `size:9999999TB`, `9999999TB`, `not a number`, ``},
		{al, `id:abc`, `abc`, `not an id`, ``},
		{al, `id:-1`, `-1`, `not an id`, ``},
		{al, `id:9223372036854775808`, `9223372036854775808`, `not an id`, ``},
		{al, `id:18*`, `18*`, `no values that start with`, `18`},

		// Times.
		{al, `on:2026-02-29`, `2026-02-29`, `February 2026 has days 01 to 28`, ``},
		{al, `on:2026-13`, `2026-13`, `months are 01 to 12`, ``},
		{al, `on:2026-00-01`, `2026-00-01`, `months are 01 to 12`, ``},
		{al, `on:2026-03-01T24`, `2026-03-01T24`, `a day ends`, ``},
		{al, `on:2026-3-1`, `2026-3-1`, `is not a time`, `2026-03-01`},
		{al, `after:2026/03/01`, `2026/03/01`, `is not a time`, `2026-03-01`},
		{al, `after:"1 March 2026"`, `"1 March 2026"`, `is not a time`, `2026-03-01`},
		{al, `after:"2026-03-01 14:05"`, `"2026-03-01 14:05"`, `is not a time`, `2026-03-01T14:05`},
		{al, `on:today`, `today`, `is not a time`, `2026-03-31`},
		{al, `on:2026-03*`, `2026-03*`, `no values that start with`, `2026-03`},
		{al, `after:2026-03-01T12:00:00+99:00`, `2026-03-01T12:00:00+99:00`, `is not a time`, ``},
		{al, `on:""`, `""`, `never empty`, ``},
		{al, `last:7x`, `7x`, `not a length of time`, ``},
		{al, `last:7days`, `7days`, `not a length of time`, `7d`},
		{al, `last:2months`, `2months`, `not a length of time`, `60d`},
		{al, `last:7`, `7`, `not a length of time`, `7d`},
		{al, `last:0d`, `0d`, `not a length of time`, ``},
		{al, `last:d`, `d`, `not a length of time`, ``},
		{al, `last:99999999d`, `99999999d`, `longer than 200 years`, ``},

		// What is no query.
		{al, "gift \xff", "\xff", `not valid UTF-8`, ``},
		{al, strings.Repeat("x", MaxLength) + "y", `y`, `at most 4096 bytes`, ``},
		{al, strings.Repeat("x ", MaxTerms) + "y z", `y z`, `at most 50 terms`, ``},
		{al, "user:" + strings.Repeat("x,", MaxValues) + "y", `y`, `at most 200 values`, ``},
	}
	for _, tt := range tests {
		_, err := Parse(tt.kind, tt.query, testAt)
		var wrong *SyntaxError
		if !errors.As(err, &wrong) {
			t.Errorf("Parse(%s, %s): got error %v, want a SyntaxError", tt.kind, tt.query, err)
			continue
		}
		if got := wrong.Query[wrong.Position:]; !strings.HasPrefix(got, tt.at) || tt.at == "" && got != "" {
			t.Errorf("Parse(%s, %s): points to %q, want %q", tt.kind, tt.query, got, tt.at)
		}
		if !strings.Contains(wrong.Message, tt.message) {
			t.Errorf("Parse(%s, %s): got message %q, want %q", tt.kind, tt.query, wrong.Message, tt.message)
		}
		if tt.suggestion != "" && wrong.Suggestion != tt.suggestion {
			t.Errorf("Parse(%s, %s): got suggestion %q, want %q", tt.kind, tt.query, wrong.Suggestion, tt.suggestion)
		}
	}
}

func TestErrorCountsCharacters(t *testing.T) {
	_, err := Parse(audit.KindAuditLog, `größe usr:x`, testAt)
	want := `query, character 7: audit logs have no key usr:, and text with a colon has to be in quotes; did you mean user?`
	if got := err.Error(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestNumbers(t *testing.T) {
	const lowest, highest = math.MinInt64, math.MaxInt64
	tests := []struct {
		query  string
		lo, hi int64
	}{
		{`rows:42`, 42, 42},
		{`rows:-1`, -1, -1},
		{`rows:>1000`, 1001, highest},
		{`rows:>=10`, 10, highest},
		{`rows:<5`, lowest, 4},
		{`rows:<=5`, lowest, 5},
		{`rows:10..20`, 10, 20},
		{`rows:10..`, 10, highest},
		{`rows:..20`, lowest, 20},
		{`rows:""`, 1, 0},
		{`size:>=1MB`, 1_000_000, highest},
		{`size:<1MiB`, lowest, 1<<20 - 1},
		{`size:1.5kb`, 1500, 1500},
		{`size:0.0001KB`, 0, 0},
		{`size:1gib..1TB`, 1 << 30, 1_000_000_000_000},
		{`size:10B`, 10, 10},
		{`size:10`, 10, 10},
	}
	for _, tt := range tests {
		v := mustParse(t, audit.KindDataExport, tt.query).Terms[0].Values[0]
		if v.Lo != tt.lo || v.Hi != tt.hi {
			t.Errorf("%s: got %d to %d, want %d to %d", tt.query, v.Lo, v.Hi, tt.lo, tt.hi)
		}
	}
}

func TestQuoteRoundTrip(t *testing.T) {
	values := []string{"", "alice", "alice smith", "a,b", `a"b`, `"`, `""`, `\`, `a\"b`, "a\nb", "*", "a*", "a*b", "-", "-x", "--",
		"user:x", "http://x", "a:", "2001:db8::1", "10:30", "é", "＊", "\u00a0", "\u2028", "日本", ">1", "x\t", "=cmd()", "␀"}
	for _, value := range values {
		for _, q := range []string{"user:" + Quote(value), "-user:x," + Quote(value), Quote(value), "-" + Quote(value)} {
			free := !strings.Contains(q, "user:x,") && !strings.HasPrefix(q, "user:"+Quote(value)) || q == Quote(value)
			if value == "" && free {
				continue // nothing is no text to look for
			}
			terms := mustParse(t, audit.KindAuditLog, q).Terms
			if len(terms) != 1 {
				t.Errorf("%s: got %d terms, want 1", q, len(terms))
				continue
			}
			last := terms[0].Values[len(terms[0].Values)-1]
			if last.Text != value || last.Prefix {
				t.Errorf("%s: got %q (prefix %v), want %q", q, last.Text, last.Prefix, value)
			}
		}
	}
}

// FuzzParse holds that nothing panics, that errors point into the query, and
// that what is accepted comes back the same when it is printed and read again.
func FuzzParse(f *testing.F) {
	for _, q := range []string{
		`user:alice action:DELETE,UPDATE type:shop.order -module:auth ip:10.0.0.0/8 after:2026-03-01 "gift card"`,
		`rows:>1000 size:1KiB..2MB`, `is:unresolved -code:"" on:2026-03,2026-03-29T02`, `ip:2001:db8:*,::ffff:10.0.0.1 last:7d`,
		`-"a""b"* http://x fe80::1 10:30 a: --`, "\"\xff", `user:*,,"`, `title:a* "user:x"`, "\u00a0-\u2028x", `- * -- "-" -*`, `id:7 recorded:2026-03-01T12:00:00.123456789Z`,
	} {
		for n := range audit.Kinds() {
			f.Add(n, q)
		}
	}
	f.Fuzz(func(t *testing.T, n int, q string) {
		kind := audit.Kinds()[uint(n)%4]
		Complete(kind, q, len(q)/2)
		filter, err := Parse(kind, q, testAt)
		if err != nil {
			var wrong *SyntaxError
			if !errors.As(err, &wrong) {
				t.Fatalf("got %T, want *SyntaxError", err)
			}
			if wrong.Position < 0 || wrong.Length < 0 || wrong.Position+wrong.Length > len(q) {
				t.Fatalf("%q: error at %d+%d of %d", q, wrong.Position, wrong.Length, len(q))
			}
			if err.Error() == "" || wrong.Message == "" {
				t.Fatalf("%q: an error without a message", q)
			}
			return
		}
		text := filter.String()
		again, err := Parse(kind, text, testAt)
		if err != nil {
			if len(text) > MaxLength {
				return // quotes made it longer
			}
			t.Fatalf("%q prints as %q, which is wrong: %v", q, text, err)
		}
		if got := again.String(); got != text {
			t.Fatalf("%q prints as %q and then as %q", q, text, got)
		}
		if !reflect.DeepEqual(withoutPlaces(again), withoutPlaces(filter)) {
			t.Fatalf("%q prints as %q, which means something else:\n%+v\n%+v", q, text, filter.Terms, again.Terms)
		}
		checkChanges(t, filter, q)
		if !utf8.ValidString(filter.Sentence()) || filter.Sentence() == "" || filter.EmptySentence() == "" {
			t.Fatalf("%q: no sentence", q)
		}
	})
}

// checkChanges holds that what a click makes of a filter is a query that means
// the same, and that the same click again takes it back.
func checkChanges(t *testing.T, f *Filter, value string) {
	for _, g := range []*Filter{f.Include("source", value), f.Exclude("source", value), f.During(testNow, testNow.Add(time.Hour))} {
		text := g.String()
		if len(text) > MaxLength || len(g.Terms) > MaxTerms {
			continue
		}
		again, err := Parse(f.Kind, text, testAt)
		if err != nil {
			t.Fatalf("%q becomes %q, which is wrong: %v", f, text, err)
		}
		if !reflect.DeepEqual(withoutPlaces(again), withoutPlaces(g)) {
			t.Fatalf("%q becomes %q, which means something else:\n%+v\n%+v", f, text, g.Terms, again.Terms)
		}
	}
	if g := f.Include("source", value); g.Has("source", value, false) == f.Has("source", value, false) {
		t.Fatalf("%q: including %q changes nothing", f, value)
	}
	if g := f.Exclude("source", value); g.Has("source", value, true) == f.Has("source", value, true) {
		t.Fatalf("%q: excluding %q changes nothing", f, value)
	}
}

func withoutPlaces(f *Filter) []Term {
	terms := make([]Term, len(f.Terms))
	for i, t := range f.Terms {
		t.Pos, t.End = 0, 0
		terms[i] = t
	}
	return terms
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := Parse(audit.KindAuditLog, `user:alice action:DELETE,UPDATE type:shop.order -module:auth ip:10.0.0.0/8 after:2026-03-01 "gift card"`, testAt); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSimilar(t *testing.T) {
	words := []string{"UPDATE", "DELETE", "maria.keller", "mario", "", "VIEW", "svc-warehouse", strings.Repeat("x", 5000)}
	for word, want := range map[string]string{
		"DELTE": "DELETE", "updaet": "UPDATE", "maria": "maria.keller mario", "delete": "", "svc-warehose": "svc-warehouse", "x": "", "zz": "", "": "",
		strings.Repeat("x", 5001): "", "completely other": "", "vie": "VIEW",
	} {
		if got := strings.Join(Similar(word, words, 2), " "); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestInverted(t *testing.T) {
	for q, want := range map[string]bool{
		"after:2026-05-01 before:2026-01-01": true, "before:2026-01-01 after:2026-05-01": true, "after:2026-01-01 before:2026-01-01": true,
		"after:2026-01-01 before:2026-05-01": false, "after:2026-01-01": false, "on:2025 on:2026": false, "": false, "on:2025 after:2026-05-01 before:2026-01-01": false,
	} {
		f, err := Parse(audit.KindAuditLog, q, Options{})
		if err != nil {
			t.Fatal(err)
		}
		after, before := f.Inverted()
		if (after != nil) != want || (before != nil) != want {
			t.Errorf("%s: got %v and %v", q, after, before)
		}
	}
}

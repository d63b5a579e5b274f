package format

import (
	"bytes"
	"encoding/csv"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

func TestCSV(t *testing.T) {
	e := audit.NewEvent(audit.KindLoginAttempt)
	e.EventID = "=1+1"
	for field, value := range map[string]string{
		"timestamp": "2026-03-01T12:00:00.123456Z", "username": `=HYPERLINK("http://x","y")`, "status": "FAILED",
		"failure_reason": "two\nlines, and \"quotes\"", "city": " ＝1", "user_agent": "-", "metadata": `{"a":1}`,
	} {
		e.Set(field, value)
	}
	var out bytes.Buffer
	w, err := NewWriter("csv", &out, e.Kind)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&db.Stored{Event: e, ID: 1 << 60, Seq: 3, RecordedAt: testNow}); err != nil {
		t.Fatal(err)
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	want := "id,seq,recorded_at,source,event_id,timestamp,username,status,ip_address,user_agent,failure_reason,country,city,session_key,request_id,metadata\r\n" +
		`1152921504606846976,3,2026-09-01T12:00:00.000000Z,,"'=1+1",2026-03-01T12:00:00.123456Z,"'=HYPERLINK(""http://x"",""y"")",FAILED,,"'-","two` + "\n" +
		`lines, and ""quotes""",,"' ＝1",,,"{""a"":1}"` + "\r\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
	if err != nil {
		t.Fatalf("encoding/csv cannot read it: %v", err)
	}
	if got, want := Unguard(rows[1][6]), e.Get("username"); got != want {
		t.Errorf("read back: got %q, want %q", got, want)
	}
}

func TestGuard(t *testing.T) {
	for _, test := range []struct {
		value   string
		guarded bool
	}{
		{"", false}, {"plain", false}, {"1-2", false}, {"a=b", false}, {"'", false}, {"'quoted'", false}, {"é", false}, {"{}", false},
		{"=1", true}, {"+1", true}, {"-1", true}, {"@x", true}, {"＝1", true}, {"＋1", true}, {"－1", true}, {"＠x", true},
		{"\tx", true}, {"\rx", true}, {"\nx", true}, {"  =1", true}, {"\u00a0=1", true}, {"\u200b=1", true}, {"\ufeff=1", true}, {"\x01=1", true},
		{"'=1", true}, {"''=1", true},
	} {
		got := Guard(test.value)
		if (got != test.value) != test.guarded {
			t.Errorf("Guard(%q): got %q, want it changed: %v", test.value, got, test.guarded)
		}
		if back := Unguard(got); back != test.value {
			t.Errorf("Unguard(%q): got %q, want %q", got, back, test.value)
		}
	}
}

// Every cell reads back as it was, and none begins like a formula.
func TestGuardEveryCell(t *testing.T) {
	letters := []rune("=+-@\t\r\n'\" ,;＝＋－＠\u00a0\u200b\ufeffaé1\u2028")
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		var b strings.Builder
		for range random.IntN(6) {
			b.WriteRune(letters[random.IntN(len(letters))])
		}
		value := b.String()
		rows, err := csv.NewReader(strings.NewReader("x," + string(appendCell(nil, value)) + "\r\n")).ReadAll()
		if err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		cell := rows[0][1]
		// encoding/csv reads CR LF within quotes as LF; that is its own doing.
		if got, want := Unguard(cell), strings.ReplaceAll(value, "\r\n", "\n"); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if trimmed := strings.TrimLeft(cell, " \u00a0\u200b\ufeff\u2028"); trimmed != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(trimmed)[0]) {
			t.Fatalf("the cell %q begins like a formula", cell)
		}
	}
}

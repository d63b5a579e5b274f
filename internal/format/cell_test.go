package format

import (
	"bytes"
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// table writes rows of one event each whose user name is the given text.
func table(t testing.TB, names ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter("csv", &out, audit.KindLoginAttempt)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		e := audit.NewEvent(audit.KindLoginAttempt)
		e.Set("timestamp", "2026-03-01T12:00:00.000000Z")
		e.Set("status", "FAILED")
		for _, field := range []string{"username", "failure_reason", "city", "user_agent"} {
			e.Set(field, name)
		}
		e.EventID = name
		if err := w.Write(&db.Stored{Event: e, ID: int64(i + 1), Seq: int64(i + 1), RecordedAt: testNow}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// FuzzCSV writes any text into a table and reads it with the standard library:
// the table keeps its shape, the text comes back, and no cell begins as a
// spreadsheet's formula does.
//
// ASVS:V1.2.1 ASVS:V1.2.10
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"", "=1+1", "+1", "-1", "@SUM(A1)", "＝1", "\t=1", "\r\n=1", " =1", "\u200b=1", "'=1", `"`, `","`, "a,b;c\td", "=cmd|' /C calc'!A0", "\ufeff=1", "\x00=1", "%0A=1", `";=1;"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		out := table(t, name)
		rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
		if err != nil || len(rows) != 2 || len(rows[0]) != len(rows[1]) {
			t.Fatalf("%q: got %d rows, %v in %q", name, len(rows), err, out)
		}
		// encoding/csv reads CR LF within quotes as LF; that is its own doing.
		if got, want := Unguard(rows[1][6]), strings.ReplaceAll(name, "\r\n", "\n"); got != want {
			t.Errorf("read back: got %q, want %q", got, want)
		}
		for _, cell := range rows[1] {
			first := strings.TrimLeftFunc(cell, func(r rune) bool {
				return unicode.IsSpace(r) && r != '\t' && r != '\r' && r != '\n' || unicode.In(r, unicode.Cf, unicode.Z)
			})
			if first != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(first)[0]) {
				t.Errorf("the cell %q begins as a formula does", cell)
			}
		}
	})
}

// TestT14_Spreadsheet has LibreOffice open an export of formulas and write down
// what it took them for: every cell is text. It is skipped where LibreOffice is
// not installed, also where nothing else may be skipped, since it is as large as
// everything else together; TestGuardEveryCell needs no spreadsheet.
func TestT14_Spreadsheet(t *testing.T) {
	office, err := exec.LookPath("soffice")
	if err != nil {
		t.Skip("soffice is missing: apt-get install libreoffice-calc")
	}
	dir := t.TempDir()
	formulas := []string{"=1+1", "+1+1", "-1+1", "@SUM(1;1)", "＝1+1", "\t=1+1", " =1+1", "=HYPERLINK(\"http://x\";\"y\")", "=cmd|' /C calc'!A0", "\ufeff=1+1", "=WEBSERVICE(\"http://x\")", "=DDE(\"a\";\"b\";\"c\")"}
	if err := os.WriteFile(filepath.Join(dir, "export.csv"), table(t, formulas...), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), office, "-env:UserInstallation=file://"+dir+"/profile", "--headless", "--convert-to", "fods", "--outdir", dir, filepath.Join(dir, "export.csv"))
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sheet, err := os.ReadFile(filepath.Join(dir, "export.fods"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(sheet, []byte("table:formula=")); n != 0 {
		t.Errorf("got %d cells that are formulas, want none", n)
	}
	if !bytes.Contains(sheet, []byte("1+1")) {
		t.Error("the texts are not in the sheet at all")
	}
}

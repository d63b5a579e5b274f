package format

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// csvWriter writes RFC 4180: a header, then one row an event, fields parted by
// commas and quoted where they have to be, lines ended by CR LF, text in UTF-8.
// The columns are id, seq, recorded_at, source, event_id and the fields of the
// kind; times are in UTC.
//
// A cell that a spreadsheet would take for a formula is guarded: see Guard.
type csvWriter struct {
	out  *bufio.Writer
	kind audit.Kind
	row  []byte
}

func newCSVWriter(w io.Writer, kind audit.Kind) Writer {
	return &csvWriter{out: bufio.NewWriterSize(w, 64<<10), kind: kind}
}

func (w *csvWriter) Begin() error {
	w.row = append(w.row[:0], "id,seq,recorded_at,source,event_id"...)
	for _, f := range w.kind.Fields() {
		w.row = append(w.row, ',')
		w.row = append(w.row, f.Name...)
	}
	return w.endRow()
}

func (w *csvWriter) Write(s *db.Stored) error {
	w.row = strconv.AppendInt(w.row[:0], s.ID, 10)
	w.row = append(w.row, ',')
	w.row = strconv.AppendInt(w.row, s.Seq, 10)
	w.row = append(w.row, ',')
	w.row = append(w.row, audit.FormatTime(s.RecordedAt)...)
	w.row = append(w.row, ',')
	w.row = appendCell(w.row, s.Source)
	w.row = append(w.row, ',')
	w.row = appendCell(w.row, s.EventID)
	for _, v := range s.Values() {
		w.row = append(w.row, ',')
		w.row = appendCell(w.row, v)
	}
	return w.endRow()
}

func (w *csvWriter) End() error { return w.out.Flush() }

func (w *csvWriter) endRow() error {
	w.row = append(w.row, '\r', '\n')
	_, err := w.out.Write(w.row)
	return err
}

// appendCell appends one guarded cell, quoted where needed. A semicolon or a
// tab needs no quotes here, but parts cells for spreadsheets of some countries.
func appendCell(dst []byte, v string) []byte {
	if v == "" {
		return dst
	}
	guard := dangerous(v)
	if !guard && !wantsQuotes(v) {
		return append(dst, v...)
	}
	dst = append(dst, '"')
	if guard {
		dst = append(dst, '\'')
	}
	for {
		i := strings.IndexByte(v, '"')
		if i < 0 {
			dst = append(dst, v...)
			return append(dst, '"')
		}
		dst = append(dst, v[:i]...)
		dst = append(dst, '"', '"')
		v = v[i+1:]
	}
}

// wantsQuotes reports whether a cell needs quotes.
func wantsQuotes(v string) bool {
	for i := range len(v) {
		switch v[i] {
		case '"', ',', ';', '\t', '\r', '\n', ' ':
			return true
		}
	}
	return false
}

// Guard puts an apostrophe before a text that a spreadsheet would run as a
// formula: one that begins, behind any blanks and invisible characters, with =,
// +, -, @, one of their full-width forms, a tab or a line break.
// A text that already has apostrophes before such a beginning gets one more, so
// that Unguard gives every text back as it was.
func Guard(v string) string {
	if dangerous(v) {
		return "'" + v
	}
	return v
}

// Unguard undoes Guard, for programs that read an exported table.
func Unguard(v string) string {
	if strings.HasPrefix(v, "'") && dangerous(v) {
		return v[1:]
	}
	return v
}

func dangerous(v string) bool {
	if v == "" {
		return false
	}
	if c := v[0]; '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '{' {
		return false // nearly always
	}
	v = strings.TrimLeft(v, "'")
	for _, r := range v {
		switch r {
		case '=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n':
			return true
		}
		if !invisible(r) {
			return false
		}
	}
	return false
}

// invisible reports whether a reader of cells may skip r before it looks for a
// formula.
func invisible(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Z, r)
}

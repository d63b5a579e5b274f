package format

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// A table is RFC 4180: a header, then one row an event, fields parted by
// commas and quoted where they have to be, lines ended by CR LF, text in UTF-8.
// The columns are id, seq, recorded_at, source, event_id and the fields of the
// kind; times are in UTC.
//
// A cell that a spreadsheet would take for a formula is guarded: see Guard.

// appendHeader appends the names of the columns.
func appendHeader(dst []byte, kind audit.Kind) []byte {
	dst = append(dst, "id,seq,recorded_at,source,event_id"...)
	for _, f := range kind.Fields() {
		dst = append(dst, ',')
		dst = append(dst, f.Name...)
	}
	return append(dst, '\r', '\n')
}

// appendRow appends the row of an event.
func appendRow(dst []byte, s *db.Stored) []byte {
	dst = strconv.AppendInt(dst, s.ID, 10)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, s.Seq, 10)
	dst = append(dst, ',')
	dst = audit.AppendTime(dst, s.RecordedAt)
	dst = append(dst, ',')
	dst = appendCell(dst, s.Source)
	dst = append(dst, ',')
	dst = appendCell(dst, s.EventID)
	for _, v := range s.Values() {
		dst = append(dst, ',')
		dst = appendCell(dst, v)
	}
	return append(dst, '\r', '\n')
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
	// JSON has a quote every few letters: to look for each of them takes longer than to
	// copy eight bytes and go on behind the first one among them.
	dst = slices.Grow(dst, 2*len(v)+9)
	n := len(dst)
	dst = dst[:n+2*len(v)+9]
	for len(v) >= 8 {
		w := eight(v)
		binary.LittleEndian.PutUint64(dst[n:], w)
		quotes := equal(w, '"')
		if quotes == 0 {
			n, v = n+8, v[8:]
			continue
		}
		behind := bits.TrailingZeros64(quotes)/8 + 1
		dst[n+behind] = '"'
		n, v = n+behind+1, v[behind:]
	}
	for i := range len(v) {
		dst[n] = v[i]
		if n++; v[i] == '"' {
			dst[n] = '"'
			n++
		}
	}
	dst[n] = '"'
	return dst[:n+1]
}

// wantsQuotes reports whether a cell needs quotes.
func wantsQuotes(v string) bool {
	for ; len(v) >= 8; v = v[8:] {
		w := eight(v)
		if below(w, '"')|equal(w, '"')|equal(w, ',')|equal(w, ';') != 0 && anyWantsQuotes(v[:8]) {
			return true
		}
	}
	return anyWantsQuotes(v)
}

func anyWantsQuotes(v string) bool {
	for i := range len(v) {
		switch v[i] {
		case '"', ',', ';', '\t', '\r', '\n', ' ':
			return true
		}
	}
	return false
}

// eight is the first eight bytes of a text as one number, the first one lowest, so
// that they are looked at together. Of what below and equal return the lowest bit that
// is set, the highest of its byte, is the first byte that they were asked for; none is
// set where there is none.
func eight(v string) uint64 {
	_ = v[7]
	return uint64(v[0]) | uint64(v[1])<<8 | uint64(v[2])<<16 | uint64(v[3])<<24 | uint64(v[4])<<32 | uint64(v[5])<<40 | uint64(v[6])<<48 | uint64(v[7])<<56
}

const (
	eightOnes  = 0x0101010101010101
	eightHighs = 0x8080808080808080
)

func below(w uint64, c byte) uint64 { return (w - eightOnes*uint64(c)) &^ w & eightHighs }

func equal(w uint64, c byte) uint64 { return below(w^eightOnes*uint64(c), 1) }

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

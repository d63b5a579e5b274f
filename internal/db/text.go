package db

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/internal/trigram"
)

const (
	// textBudget is up to how many rows one text is looked up exactly, and
	// textBudgetFar the same where there are more than farRows events, which lie
	// further apart on the disk. A text that more rows may hold is called frequent:
	// pages find it by walking, and counts say how far they looked.
	textBudget    = 5_000
	textBudgetFar = 1_500
	farRows       = 1_000_000
	// frequentBudget is how many rows that can hold a frequent text are read to
	// count it.
	frequentBudget = 600
	// shortBudget is the same for a word of one or two letters, which the
	// trigrams cannot find: the contract's number.
	shortBudget = 20_000
	// separator stands between the parts of a row's searchable text, so that
	// nothing is found that begins in one field and ends in another.
	separator = '\x1f'
)

// needle is a text term made ready: what to look for, and in which parts of a
// row.
type needle struct {
	key    string // names the needle in the cache
	reader *textReader
	values []query.Value
	short  bool // some value has fewer than three letters
	plain  bool // what holds a value holds it as it was stored too, and the other way round
}

func newNeedle(kind audit.Kind, t query.Term) *needle {
	n := &needle{values: t.Values, reader: newTextReader(kind, t.Field)}
	n.key = string(kind) + " " + t.Field.Key
	n.plain = n.reader.part == ""
	for _, v := range t.Values {
		n.short = n.short || utf8.RuneCountInString(v.Folded) < 3
		n.plain = n.plain && !v.Prefix && bare(v.Folded)
		n.key += "\x00" + strconv.FormatBool(v.Prefix) + v.Folded
	}
	return n
}

// bare reports whether a folded text is made of letters and digits alone, and is no part
// of what only the form of JSON is made of. Then it stands in JSON without escapes
// exactly where it stands in what a person reads there.
func bare(folded string) bool {
	for _, syntax := range []string{"old", "new", "null"} {
		if strings.Contains(syntax, folded) {
			return false
		}
	}
	return strings.IndexFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) < 0
}

// budget is up to how many rows are read for this needle on one page.
func (n *needle) budget() int {
	if n.short {
		return shortBudget
	}
	return frequentBudget
}

// in reports whether a row's text, in folded form, holds one of the values.
func (n *needle) in(text []byte) bool {
	for _, v := range n.values {
		switch {
		case v.Text == "":
			if len(bytes.Trim(text, string(separator))) == 0 {
				return true
			}
		case v.Prefix:
			for part := range bytes.SplitSeq(text, []byte{separator}) {
				if bytes.HasPrefix(part, []byte(v.Folded)) {
					return true
				}
			}
		case bytes.Contains(text, []byte(v.Folded)):
			return true
		}
	}
	return false
}

// heldBy reports whether the columns of a row hold the needle. It works in buf, which it
// returns.
func heldBy[T ~string | ~[]byte](n *needle, buf []byte, values []T) ([]byte, bool) {
	if !n.plain {
		buf = textOf(n.reader, buf, values)
		return buf, n.in(buf)
	}
	buf = buf[:0]
	for _, v := range values {
		buf = append(append(buf, separator), v...)
	}
	if bytes.IndexByte(buf, '\\') >= 0 { // it may be an escape
		buf = textOf(n.reader, buf, values)
	} else {
		buf = foldInPlace(buf)
	}
	return buf, n.in(buf)
}

// textReader makes the searchable text of rows of one kind, of one field or of
// all that free text looks at.
type textReader struct {
	table   *table
	columns []audit.Field
	part    string   // of changes: "field", "old", "new", or "" for all of it
	names   []string // e.id, e.seq and the columns
	sql     string   // of the columns, after e.id
}

func newTextReader(kind audit.Kind, f query.Field) *textReader {
	r := &textReader{table: tables[kind], names: []string{"e.id", "e.seq"}}
	names := f.Columns
	if f.Class == query.ClassFree {
		names = query.Searchable(kind)
	} else if slices.Equal(names, []string{"changes"}) {
		r.part = f.Key
	}
	for _, name := range names {
		r.columns = append(r.columns, kind.Fields()[kind.Index(name)])
		r.names = append(r.names, "e."+name)
		r.sql += ", e." + name
	}
	return r
}

// text is textOf what was read from the database.
func (r *textReader) text(buf []byte, values []sql.RawBytes) []byte { return textOf(r, buf, values) }

// textOf writes the folded text of a row into buf, which it returns.
func textOf[T ~string | ~[]byte](r *textReader, buf []byte, values []T) []byte {
	buf = buf[:0]
	for i, f := range r.columns {
		switch {
		case f.Name == "changes":
			for _, c := range audit.ParseChanges(string(values[i])) {
				if r.part == "" || r.part == "field" {
					buf = append(append(buf, separator), c.Field...)
				}
				if r.part == "" || r.part == "old" {
					buf = appendJSONText(buf, c.Old)
				}
				if r.part == "" || r.part == "new" {
					buf = appendJSONText(buf, c.New)
				}
			}
		case f.Type == audit.JSON:
			buf = appendJSONText(buf, string(values[i]))
		default:
			buf = append(append(buf, separator), values[i]...)
		}
	}
	return foldInPlace(buf)
}

// foldInPlace is query.Fold without an allocation for plain ASCII.
func foldInPlace(b []byte) []byte {
	for i, c := range b {
		if c >= utf8.RuneSelf {
			return append(b[:0], query.Fold(string(b))...)
		}
		if 'A' <= c && c <= 'Z' {
			b[i] = c + ('a' - 'A')
		}
	}
	return b
}

// appendJSONText appends what a person reads in a JSON value: strings as they
// are meant, numbers and words as they stand, keys; nulls and syntax left out.
func appendJSONText(buf []byte, raw string) []byte {
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case c == '"':
			end := i + 1
			escaped := false
			for end < len(raw) && raw[end] != '"' {
				if raw[end] == '\\' {
					escaped = true
					end++
				}
				end++
			}
			end = min(end, len(raw))
			buf = append(buf, separator)
			if escaped {
				var s string
				if json.Unmarshal([]byte(raw[i:min(end+1, len(raw))]), &s) == nil {
					buf = append(buf, s...)
				}
			} else {
				buf = append(buf, raw[i+1:end]...)
			}
			i = end + 1
		case c == '-' || '0' <= c && c <= '9' || c == 't' || c == 'f':
			end := i
			for end < len(raw) && !strings.ContainsRune(",]} \t\r\n", rune(raw[end])) {
				end++
			}
			buf = append(append(buf, separator), raw[i:end]...)
			i = end
		case c == 'n':
			i += len("null")
		default:
			i++
		}
	}
	return buf
}

// trigramKeys returns the keys of the distinct runs of three letters of a folded
// text.
func trigramKeys(folded string) []trigram.Key {
	const enough = 64 // more would make the index slower and no more certain
	runes := []rune(folded)
	var all []trigram.Key
	for i := 0; i+3 <= len(runes) && len(all) < enough; i++ {
		if k := trigram.KeyOf(string(runes[i : i+3])); !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all
}

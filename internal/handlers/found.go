package handlers

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// A hunt is one term of a filter that looks for text: each of its needles is as
// good as another.
type hunt struct {
	needles []string // folded
	columns []string
	part    string // of changes: "field", "old", "new", or "" for all of it
	unseen  bool   // no column of the list shows what it looks at
}

// hunts are the positive terms of a filter that look for text.
func hunts(f *query.Filter) []hunt {
	var all []hunt
	for i := range f.Terms {
		t := &f.Terms[i]
		h := hunt{needles: needlesOf(t), columns: t.Field.Columns}
		if len(h.needles) == 0 {
			continue
		}
		if t.Field.Class == query.ClassText {
			if slices.Equal(h.columns, []string{"changes"}) {
				h.part = t.Field.Key
			}
			h.unseen = t.Field.Key == "agent" || t.Field.Key == "reason" && f.Kind == audit.KindAuditLog
		}
		all = append(all, h)
	}
	return all
}

// The excerpt of a field, and how many bytes of text a page looks through for its
// excerpts: beyond that its rows go without.
const (
	foundLimit  = 64
	foundBudget = 8 << 20
)

// found says for each text that was looked for and that the cells of a row do not
// show where in the event it is.
func (t *table) found(e *audit.Event, cells []templates.Cell) []templates.Found {
	var all []templates.Found
	for i := range t.hunts {
		h := &t.hunts[i]
		if !h.unseen && shown(cells, h.needles) {
			continue
		}
		if f := t.where(e, h); f != nil && !slices.ContainsFunc(all, f.Equal) {
			all = append(all, *f)
		}
	}
	return all
}

// shown reports whether a cell shows one of the needles.
func shown(cells []templates.Cell, needles []string) bool {
	for i := range cells {
		for j := range cells[i].Spans {
			if s := &cells[i].Spans[j]; s.Class == templates.Mark && hasHit(s.Text, needles) {
				return true
			}
		}
		if hint := cells[i].Hint; hint != "" && hasHit(hint, needles) {
			return true
		}
	}
	return false
}

// where is the first field of an event that a hunt finds something in, with the text
// around it.
func (t *table) where(e *audit.Event, h *hunt) *templates.Found {
	for _, name := range h.columns {
		value := e.Get(name)
		if value == "" {
			continue
		}
		if t.looked += len(value); t.looked > foundBudget {
			return nil
		}
		var f *templates.Found
		switch {
		case name == "changes":
			f = inChanges(value, h)
		case e.Kind.Fields()[e.Kind.Index(name)].Type == audit.JSON:
			f = inJSON(fieldWords(name), value, h.needles)
		default:
			f = inText(fieldWords(name), value, h.needles)
		}
		if f != nil {
			return f
		}
	}
	return nil
}

// fieldWords is the name of a field in a sentence.
func fieldWords(name string) string {
	return strings.Replace(strings.ReplaceAll(name, "_", " "), "ip address", "address", 1)
}

func inChanges(raw string, h *hunt) *templates.Found {
	for _, c := range audit.ParseChanges(raw) {
		if h.part == "" || h.part == "field" {
			if f := inText("changed field", c.Field, h.needles); f != nil {
				return f
			}
		}
		for _, side := range []struct{ part, words, raw string }{{"old", "old value of ", c.Old}, {"new", "new value of ", c.New}} {
			if h.part == "" || h.part == side.part {
				if f := inJSON(side.words+cut(c.Field, quoteLimit), side.raw, h.needles); f != nil {
					return f
				}
			}
		}
	}
	return nil
}

// inJSON looks for needles in what a person reads of a JSON value.
func inJSON(name, raw string, needles []string) *templates.Found {
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return nil
		}
		var text string
		switch token := token.(type) {
		case string:
			text = token
		case json.Number:
			text = token.String()
		case bool:
			if text = "false"; token {
				text = "true"
			}
		}
		if f := inText(name, text, needles); f != nil {
			return f
		}
	}
}

// inText looks for needles in a text, window by window where it is long.
func inText(name, text string, needles []string) *templates.Found {
	const window, overlap = markLimit / 2, 2 << 10
	for from := 0; from < len(text); {
		piece := text[from:]
		if len(piece) > window {
			end := window
			for end > 0 && !utf8.RuneStart(piece[end]) {
				end--
			}
			piece = piece[:end]
		}
		if hasHit(piece, needles) {
			f := &templates.Found{Field: name}
			if audit.IsMask(text) {
				f.Spans = []templates.Span{{Text: audit.MaskFingerprint(text), Class: templates.Masked}}
				return f
			}
			if from > 0 {
				f.Spans = append(f.Spans, plain("… "))
			}
			f.Spans = teller{needles: needles}.text(f.Spans, piece, templates.Plain, foundLimit)
			return f
		}
		if from+len(piece) >= len(text) {
			break
		}
		from += len(piece) - overlap
		for !utf8.RuneStart(text[from]) {
			from++
		}
	}
	return nil
}

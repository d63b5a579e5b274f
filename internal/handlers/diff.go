package handlers

import (
	"strings"

	"github.com/auditadmin/auditadmin/internal/diff"
	"github.com/auditadmin/auditadmin/web/templates"
)

// changesDiff is the changes of an audit log: a field in a row, before beside
// after.
func changesDiff(t *diff.Table, action string) *templates.Diff {
	if len(t.Rows) == 0 {
		return nil
	}
	m := &templates.Diff{Caption: plural(int64(len(t.Rows)+t.More), "field"), Created: action != "DELETE", Deleted: action == "DELETE"}
	for _, row := range t.Rows {
		m.Fields = append(m.Fields, diffField(row))
		// A column is left out only where nothing stands in it.
		m.Created = m.Created && row.Before.State != diff.Given && (action == "CREATE" || row.Before.State == diff.Missing && row.Shape != diff.JSON)
		m.Deleted = m.Deleted && row.After.State != diff.Given
	}
	if t.More > 0 {
		m.Caption += ", " + number(int64(t.More)) + " of them only in the raw JSON"
	}
	return m
}

// unchangedDetail are the fields that were given with the same value twice.
func unchangedDetail(t *diff.Table) *templates.Details {
	if t.Unchanged.Count == 0 {
		return nil
	}
	d := &templates.Details{Title: "Given, and not changed"}
	for _, leaf := range t.Unchanged.Leaves {
		d.Rows = append(d.Rows, templates.Detail{Name: leaf.Path, Value: jsonValue(leaf.JSON)})
	}
	if more := t.Unchanged.Count - len(t.Unchanged.Leaves); more > 0 {
		d.Note = "and " + plural(int64(more), "more field")
	}
	return d
}

func diffField(row diff.Row) templates.DiffField {
	f := templates.DiffField{Name: row.Name, Note: diffNote(row), Same: sameOf(row.Unchanged, "element")}
	if row.Shape != diff.JSON {
		f.Before, f.MissingBefore = diffValue(row.Before, true)
		f.After, f.MissingAfter = diffValue(row.After, false)
		return f
	}
	for _, element := range row.Elements {
		p := templates.DiffPath{Path: element.Name}
		p.Before, p.MissingBefore = diffValue(element.Before, true)
		p.After, p.MissingAfter = diffValue(element.After, false)
		f.Paths = append(f.Paths, p)
	}
	return f
}

// diffNote says how a field differs, where a glance at it does not.
func diffNote(row diff.Row) string {
	var notes []string
	switch row.Shape {
	case diff.Text:
		if row.OnlySpace {
			notes = append(notes, "text, only white space differs")
		} else if row.Places > 0 {
			notes = append(notes, "text, "+places(row.Places))
		}
	case diff.List:
		if row.Places > 0 {
			notes = append(notes, "list, "+places(row.Places))
		}
	case diff.Number:
		if row.Delta != "" {
			notes = append(notes, row.Delta)
		}
	case diff.JSON:
		note := "JSON, " + number(int64(row.Differ())) + " of " + plural(int64(row.Total()), "element") + " differ"
		if row.More > 0 {
			note += ", " + number(int64(len(row.Elements))) + " of them are shown"
		}
		notes = append(notes, note)
	case diff.Secret:
		notes = append(notes, secretNotes[row.Secrets])
	}
	if row.OtherType {
		notes = append(notes, "was a "+row.Before.Type+", is a "+row.After.Type)
	}
	return joined("; ", notes...)
}

var secretNotes = map[diff.Secrets]string{
	diff.SecretsUnknown: "secret, never stored",
	diff.SecretsSame:    "secret, never stored; the same value, because the marks are the same",
	diff.SecretsOther:   "secret, never stored; another value, because the marks differ",
}

func places(n int) string {
	if n == 1 {
		return "1 place differs"
	}
	return number(int64(n)) + " places differ"
}

// diffValue is one side of a row, and what is said where nothing stands there.
func diffValue(value diff.Value, before bool) (*templates.Value, string) {
	switch value.State {
	case diff.Missing:
		if before {
			return nil, "not there"
		}
		return nil, "removed"
	case diff.Null:
		return nil, "none"
	case diff.Empty:
		return nil, "empty"
	}
	if value.Type == "mask" {
		return &templates.Value{Spans: []templates.Span{{Text: value.Fingerprint, Class: templates.Masked}}}, ""
	}
	m := &templates.Value{Spans: segments(value.Segments), Full: segments(value.Full), Mono: value.Type == "object" || value.Type == "array"}
	if len(value.Full) > 0 {
		m.Size = "all " + plural(int64(value.Length), "character")
	}
	if value.Cut {
		m.Note = "the beginning of " + plural(int64(value.Length), "character") + "; all of it is in the JSON of the event"
	}
	return m, ""
}

// segmentClasses are the marks of a comparison as the page draws them.
var segmentClasses = map[diff.Mark]templates.Class{
	diff.Kept:    templates.Plain,
	diff.Removed: templates.Del,
	diff.Added:   templates.Ins,
	diff.Gap:     templates.Cut,
}

func segments(list []diff.Segment) []templates.Span {
	var spans []templates.Span
	for _, s := range list {
		span := templates.Span{Text: s.Text, Class: segmentClasses[s.Kind]}
		if s.Kind == diff.Gap {
			span.Text = ""
		}
		spans = append(spans, span)
	}
	return spans
}

// sameOf folds what did not change.
func sameOf(same diff.Same, what string) *templates.Same {
	if same.Count == 0 {
		return nil
	}
	var b strings.Builder
	for _, leaf := range same.Leaves {
		b.WriteString(leaf.Path + ": " + leaf.JSON + "\n")
	}
	if more := same.Count - len(same.Leaves); more > 0 {
		b.WriteString("… and " + number(int64(more)) + " more\n")
	}
	return &templates.Same{Title: plural(int64(same.Count), what) + " that did not change", Text: b.String()}
}

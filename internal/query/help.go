package query

import (
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// HelpGroup is one part of the help for the language.
type HelpGroup struct {
	Title string
	Items []HelpItem
}

// HelpItem is one thing that can be typed, and what it means.
type HelpItem struct {
	Key  string // the field's key; "" where it is about the language itself
	Term string // a whole term or query that is valid for the kind
	Doc  string
}

// Help returns the help for the queries of one kind: how to write one, some to
// begin with, and every key. The help page and docs/query.md show it.
func Help(kind audit.Kind) []HelpGroup {
	groups := []HelpGroup{
		{Title: "How to write a query", Items: tableOf(kind).syntax()},
		{Title: "For example"},
		{Title: "Fields"},
		{Title: "Text within one field"},
		{Title: "Time"},
		{Title: "Recording"},
	}
	for _, q := range tableOf(kind).examples {
		f, err := Parse(kind, q, Options{Now: time.Unix(0, 0)})
		if err != nil {
			panic(err) // the examples are ours, and a test reads them all
		}
		groups[1].Items = append(groups[1].Items, HelpItem{Term: q, Doc: f.Sentence()})
	}
	for _, f := range Fields(kind) {
		item, g := HelpItem{f.Key, f.Example, f.Doc}, 2
		switch {
		case f.Class == ClassText:
			g = 3
		case f.Columns[0] == "timestamp":
			g = 4
		case f.Key == "recorded", f.Key == "source", f.Key == "id":
			g = 5
		}
		groups[g].Items = append(groups[g].Items, item)
	}
	filled := groups[:0]
	for _, g := range groups {
		if len(g.Items) > 0 {
			filled = append(filled, g)
		}
	}
	return filled
}

// syntax explains the parts of a query with a field that the kind has.
func (t *table) syntax() []HelpItem {
	key := t.entries[0].Key
	value := func(text string) string { return key + ":" + text }
	one, two, start := "alice", "bob", "al*"
	if t.kind == audit.KindSystemEvent {
		one, two, start = "ERROR", "WARNING", "ERR*"
	}
	return []HelpItem{
		{"", "refund", "a text, anywhere in the searchable fields; upper and lower case are the same"},
		{"", `"gift card"`, "a text with spaces; quotes also protect : , * - and, written twice, a quote"},
		{"", value(one) + " refund", "several terms: all of them must hold"},
		{"", value(one + "," + two), "a comma: one of them"},
		{"", "-" + value(one) + " -refund", "a minus: not"},
		{"", value(start), "a star at the end: what starts with it"},
		{"", "-" + `request:""`, `nothing in quotes: what is empty; here, what is not`},
	}
}

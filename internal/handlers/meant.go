package handlers

import (
	"slices"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// Limits of what is offered in place of a value that never occurs: how many of a
// field's most frequent values are looked at, how many offered, and for how many
// values of a query.
const (
	meantAmong = 1000
	meantShown = 3
	meantTerms = 3
)

// meant offers what is probably meant where nothing was found.
func (v *visit) meant(sel *db.Selection, f *query.Filter) ([][]templates.Span, error) {
	var all [][]templates.Span
	offer := func(links ...templates.Link) {
		if len(links) > 0 {
			all = append(all, didYouMean(links))
		}
	}
	if link := v.ordered(f); link != nil {
		offer(*link)
	}
	for i, term := range f.Terms {
		if link := v.rewritten(f, i); link != nil {
			offer(*link)
		}
		if term.Not || !term.Field.Facet || term.Field.Class != query.ClassValue {
			continue
		}
		for n, value := range term.Values {
			if value.Prefix || value.Text == "" || len(all) >= meantTerms {
				continue
			}
			links, err := v.nearValues(sel, f, i, n)
			if err != nil {
				return nil, err
			}
			offer(links...)
		}
	}
	return all, nil
}

// didYouMean offers what is probably meant, each with the number of its events
// where that is known.
func didYouMean(links []templates.Link) []templates.Span {
	spans := []templates.Span{plain("Did you mean ")}
	for i, link := range links {
		switch {
		case i > 0 && i == len(links)-1:
			spans = append(spans, plain(" or "))
		case i > 0:
			spans = append(spans, plain(", "))
		}
		spans = append(spans, templates.Span{Text: link.Text, Class: templates.Code, Href: link.Href})
		if link.Hint != "" {
			spans = append(spans, plain(" ("+link.Hint+")"))
		}
	}
	return append(spans, plain("?"))
}

// nearValues are the values most like one that never occurs, each as a link that
// puts it in its place. They are values that the other filters leave, with their
// counts, or else those of the whole kind.
func (v *visit) nearValues(sel *db.Selection, f *query.Filter, i, n int) ([]templates.Link, error) {
	term, store := f.Terms[i], v.server.Store
	wrong, key := term.Values[n], term.Field.Key
	alone := v.everything(f.Kind)
	alone.Terms = []query.Term{{Field: term.Field, Values: []query.Value{wrong}}}
	occurs, err := store.Select(v.Context(), alone)
	if err != nil {
		return nil, err
	}
	if found, err := occurs.List(v.Context(), db.Page{Limit: 1}); err != nil || len(found.Items) > 0 {
		return nil, err
	}
	everything, err := store.Select(v.Context(), v.everything(f.Kind))
	if err != nil {
		return nil, err
	}
	var links []templates.Link
	for _, among := range []*db.Selection{sel, everything} {
		facet, err := among.Facet(v.Context(), key, meantAmong)
		if err != nil {
			return nil, err
		}
		counts := map[string]int64{}
		words := make([]string, 0, len(facet.Values))
		for _, value := range facet.Values {
			counts[value.Value] = value.Count
			words = append(words, value.Value)
		}
		for _, word := range query.Similar(wrong.Text, words, meantShown) {
			right, ok := query.StoredTerm(f.Kind, key, word)
			if !ok {
				continue // a damaged row has it
			}
			mended := term
			mended.Values = slices.Concat(term.Values[:n], right.Values, term.Values[n+1:])
			link := templates.Link{Text: cut(word, nameLimit), Href: v.listQuery(f.Kind, f.Put(i, i+1, mended).String())}
			if among == sel {
				link.Hint = number(counts[word])
			}
			links = append(links, link)
		}
		if len(links) > 0 {
			return links, nil
		}
	}
	return nil, nil
}

// ordered offers a range that ends before it begins the other way round.
func (v *visit) ordered(f *query.Filter) *templates.Link {
	after, before := f.Inverted()
	if after == nil || before == nil {
		return nil
	}
	lo, hi, _ := f.Bounds()
	if lo == hi {
		return nil
	}
	turned := f.During(time.UnixMicro(hi), time.UnixMicro(lo)).String()
	return &templates.Link{Text: turned, Href: v.listQuery(f.Kind, turned)}
}

// habit says how two habits of other query languages are written here, where
// they are looked for as text: key=value, and OR between two terms. mended is the
// term in place of those from up to to, where it is known.
func habit(f *query.Filter, i int) (says string, from, to int, mended *query.Term) {
	term := f.Terms[i]
	if term.Field.Class != query.ClassFree || len(term.Values) != 1 || term.Values[0].Quoted {
		return "", 0, 0, nil
	}
	word := term.Values[0].Text
	if word == "OR" {
		says = "“OR” is looked for as a word here; alternatives are written with a comma, as in user:alice,bob."
		if i > 0 && i+1 < len(f.Terms) {
			a, b := f.Terms[i-1], f.Terms[i+1]
			if a.Field.Key == b.Field.Key && a.Field.Key != "" && !a.Not && !b.Not && a.Field.Class != query.ClassTime {
				a.Values = slices.Concat(a.Values, b.Values)
				return says, i - 1, i + 2, &a
			}
		}
		return says, 0, 0, nil
	}
	key, value, found := strings.Cut(word, "=")
	if _, known := query.Lookup(f.Kind, strings.ToLower(key)); !found || !known || value == "" {
		return "", 0, 0, nil
	}
	right, err := query.Parse(f.Kind, strings.ToLower(key)+":"+value, query.Options{Now: f.Now, Zone: f.Zone})
	if err != nil || len(right.Terms) != 1 {
		return "", 0, 0, nil
	}
	mended = &right.Terms[0]
	mended.Not = term.Not
	return "“" + cut(word, nameLimit) + "” is looked for as text here; a field has a colon, as in " + mended.String() + ".", i, i + 1, mended
}

// rewritten offers the query in the words of this language.
func (v *visit) rewritten(f *query.Filter, i int) *templates.Link {
	_, from, to, mended := habit(f, i)
	if mended == nil {
		return nil
	}
	right := f.Put(from, to, *mended).String()
	return &templates.Link{Text: right, Href: v.listQuery(f.Kind, right)}
}

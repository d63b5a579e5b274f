package handlers

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/format"
	"github.com/auditadmin/auditadmin/internal/query"
)

// ListJSON is the JSON twin of a list, as the contract says it.
type ListJSON struct {
	Items    []json.RawMessage `json:"items"`
	Count    countJSON         `json:"count"`
	Next     string            `json:"next"`
	Previous string            `json:"previous"`
	// LookedTo is set where a frequent text made the search stop before the page
	// was full: next goes on there.
	LookedTo string `json:"looked_to,omitempty"`
}

// NewListJSON returns the twin of a page and of the count of what it is a page of.
func NewListJSON(rows *db.List, count db.Count) ListJSON {
	data := ListJSON{Items: make([]json.RawMessage, len(rows.Items)),
		Count: countJSON{count.Value, count.Exact, lookedTo(count.Exact, count.LookedTo)},
		Next:  cursorText(rows.Next), Previous: cursorText(rows.Previous), LookedTo: lookedTo(!rows.Partial, rows.LookedTo)}
	for i, st := range rows.Items {
		data.Items[i] = format.AppendStored(nil, st)
	}
	return data
}

type countJSON struct {
	Value int64 `json:"value"`
	Exact bool  `json:"exact"`
	// LookedTo is how far back was counted, where that is not everything.
	LookedTo string `json:"looked_to,omitempty"`
}

// lookedTo is the time that what is not exact, or not whole, goes back to.
func lookedTo(whole bool, t time.Time) string {
	if whole || t.IsZero() {
		return ""
	}
	return audit.FormatTime(t)
}

// listData is the twin of a kind's list.
func (s *Server) listData(kind audit.Kind) func(*visit) (any, error) {
	return func(v *visit) (any, error) {
		place, err := pageOf(v.params)
		if err != nil {
			return nil, err
		}
		_, sel, err := v.selection(kind)
		if err != nil {
			return nil, err
		}
		rows, err := sel.List(v.Context(), place)
		if err != nil {
			return nil, err
		}
		count, err := sel.Count(v.Context())
		if err != nil {
			return nil, err
		}
		return NewListJSON(rows, count), nil
	}
}

// selection is what the query of the request matches now.
func (v *visit) selection(kind audit.Kind) (*query.Filter, *db.Selection, error) {
	f, err := v.filter(kind)
	if err != nil {
		return nil, nil, err
	}
	sel, err := v.server.Store.Select(v.Context(), f)
	return f, sel, err
}

func cursorText(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// eventData is the twin of one event.
func (s *Server) eventData(kind audit.Kind) func(*visit) (any, error) {
	return func(v *visit) (any, error) {
		st, err := v.event(kind)
		if err != nil {
			return nil, err
		}
		return json.RawMessage(format.AppendStored(nil, st)), nil
	}
}

type facetJSON struct {
	Key    string           `json:"key"`
	Exact  bool             `json:"exact"`
	Values []facetValueJSON `json:"values"`
	More   int              `json:"more,omitempty"`
	// LookedTo is how far back was counted, where that is not everything.
	LookedTo string `json:"looked_to,omitempty"`
}

type facetValueJSON struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

// facetsData is the values beside a list, of each field as many as limit= says;
// with key= it is that one field.
func (s *Server) facetsData(kind audit.Kind) func(*visit) (any, error) {
	return func(v *visit) (any, error) {
		place, err := pageOf(v.params)
		if err != nil {
			return nil, err
		}
		top := place.Limit
		_, sel, err := v.selection(kind)
		if err != nil {
			return nil, err
		}
		var counted []db.Facet
		if key := v.params.Get("key"); key != "" {
			field, known := query.Lookup(kind, key)
			if !known || !field.Facet {
				return nil, refuse(http.StatusBadRequest, "key=%s is not a field that %s are counted by", short(key), kind.Plural())
			}
			facet, err := sel.Facet(v.Context(), field.Key, top)
			if err != nil {
				return nil, err
			}
			counted = []db.Facet{facet}
		} else if counted, err = sel.Facets(v.Context(), top); err != nil {
			return nil, err
		}
		data := struct {
			Facets []facetJSON `json:"facets"`
		}{make([]facetJSON, len(counted))}
		for i, facet := range counted {
			data.Facets[i] = facetJSON{Key: facet.Key, Exact: facet.Exact, Values: []facetValueJSON{}, More: facet.More,
				LookedTo: lookedTo(facet.Exact, facet.LookedTo)}
			for _, value := range facet.Values {
				data.Facets[i].Values = append(data.Facets[i].Values, facetValueJSON(value))
			}
		}
		return data, nil
	}
}

type bucketJSON struct {
	Start string `json:"start"`
	Count int64  `json:"count"`
}

// timelineData is the date hierarchy under a filter.
func (s *Server) timelineData(kind audit.Kind) func(*visit) (any, error) {
	return func(v *visit) (any, error) {
		by := db.Step(v.params.Get("by"))
		if _, known := stepNouns[by]; !known {
			return nil, refuse(http.StatusBadRequest, "by=%s is not year, month, day or hour", short(string(by)))
		}
		_, sel, err := v.selection(kind)
		if err != nil {
			return nil, err
		}
		line, err := sel.Timeline(v.Context(), by)
		if err != nil {
			return nil, err
		}
		data := struct {
			Buckets []bucketJSON `json:"buckets"`
			Exact   bool         `json:"exact"`
			// LookedTo is how far back was counted, where that is not everything.
			LookedTo string `json:"looked_to,omitempty"`
		}{make([]bucketJSON, len(line.Buckets)), line.Exact, lookedTo(line.Exact, line.LookedTo)}
		for i, bucket := range line.Buckets {
			data.Buckets[i] = bucketJSON{bucket.Start.UTC().Format(time.RFC3339), bucket.Count}
		}
		return data, nil
	}
}

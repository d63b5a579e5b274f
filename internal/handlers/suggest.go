package handlers

import (
	"net/http"
	"strconv"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
)

// suggestLimit is how many values are offered at once.
const suggestLimit = 12

// suggestion is one thing that may stand at the cursor.
type suggestion struct {
	Text  string `json:"text"`            // what replaces start to end
	Label string `json:"label,omitempty"` // what it means
	Hint  string `json:"hint,omitempty"`
	Count *int64 `json:"count,omitempty"` // how many events have it
}

// suggest completes a query at a cursor: keys, or values of a key that occur.
// Places are counted in bytes of UTF-8.
func (s *Server) suggest(v *visit) (any, error) {
	kind, known := audit.ParseKind(v.params.Get("kind"))
	if !known {
		return nil, refuse(http.StatusBadRequest, "kind=%s is not a kind of event", short(v.params.Get("kind")))
	}
	q := v.params.Get("q")
	at, err := strconv.Atoi(v.params.Get("cursor"))
	if err != nil || at < 0 || at > len(q) {
		at = len(q)
	}
	c := query.Complete(kind, q, at)
	items := []suggestion{}
	for _, field := range c.Keys {
		items = append(items, suggestion{Text: field.Key + ":", Label: field.Label, Hint: field.Doc})
	}
	if c.Key != "" {
		values, err := s.Store.Values(v.Context(), kind, c.Key, c.Prefix, suggestLimit)
		if err != nil {
			return nil, err
		}
		for _, value := range values {
			items = append(items, suggestion{Text: query.Quote(value.Value), Count: &value.Count})
		}
	}
	return map[string]any{"start": c.Start, "end": c.End, "items": items}, nil
}

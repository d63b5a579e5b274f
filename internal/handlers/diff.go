package handlers

import (
	"bytes"
	"encoding/json"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/templates"
)

// diff is the changes of an audit log: a field in a row, before beside after.
func (v *visit) diff(st *db.Stored) *templates.Diff {
	changes := audit.ParseChanges(st.Get("changes"))
	if len(changes) == 0 {
		return nil
	}
	m := &templates.Diff{Caption: plural(int64(len(changes)), "field"),
		Created: st.Get("action") == "CREATE", Deleted: st.Get("action") == "DELETE"}
	for _, c := range changes {
		f := templates.DiffField{Name: c.Field}
		before, after := jsonValue(c.Old), jsonValue(c.New)
		f.Before, f.After = &before, &after
		m.Fields = append(m.Fields, f)
	}
	return m
}

// compact writes JSON without the spaces between its parts, as it is where it
// cannot be read.
func compact(raw string) string {
	var out bytes.Buffer
	if json.Compact(&out, []byte(raw)) != nil {
		return raw
	}
	return out.String()
}

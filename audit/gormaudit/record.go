package gormaudit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"github.com/auditadmin/auditadmin/audit"
)

// maxRepr is how many characters of what an object is called are recorded.
const maxRepr = 200

// record writes the events of a statement that was done, within its transaction.
func (p *Plugin) record(db *gorm.DB, w *write) error {
	_, returning := db.Statement.Clauses["RETURNING"]
	counted := !w.returned && (!returning || w.action == "CREATE")
	if counted && w.affected == 0 {
		return nil
	}
	var events []*audit.Event
	seen := 0
	if w.reread != nil {
		now, err := w.reread(db, w)
		if err != nil {
			return err
		}
		if seen = len(w.old); w.action == "CREATE" {
			seen = len(now)
		}
		events = p.events(db, w, now)
		counted = counted || w.raw != nil && w.raw.rowid
	}
	switch rest := w.affected - int64(seen); {
	case w.reread == nil && counted:
		events = append(events, p.unattributed(w, w.reason, "", &w.affected))
	case w.reread == nil:
		events = append(events, p.unattributed(w, w.reason, "", nil))
	case counted && rest > 0:
		events = append(events, p.unattributed(w, "the rows could not be found", "", &rest))
	}
	if len(events) == 0 {
		return nil
	}
	return p.recorder.RecordTx(db.Statement.Context, db.Statement.ConnPool, events...)
}

// events compares the rows before with the rows now.
func (p *Plugin) events(db *gorm.DB, w *write, now []row) []*audit.Event {
	var events []*audit.Event
	byID := make(map[string]int, len(now))
	for i, r := range now {
		if r.key != nil {
			byID[r.id()] = i
		}
	}
	met := make([]bool, len(now))
	for _, old := range w.old {
		i, still := byID[old.id()]
		switch {
		case old.key != nil && still:
			met[i] = true
			action := "UPDATE"
			if w.action == "DELETE" {
				action = "DELETE" // a soft one: the row is there, and marked
			}
			if changes := w.changes(&old, &now[i]); changes != "" {
				events = append(events, p.event(db, w, action, now[i], changes))
			}
		case w.action == "UPDATE":
			events = append(events, p.unattributed(w, "the primary key was changed", old.id(), nil))
		default: // also what an INSERT OR REPLACE took away
			events = append(events, p.event(db, w, "DELETE", old, w.changes(&old, nil)))
		}
	}
	for i, r := range now {
		if !met[i] {
			events = append(events, p.event(db, w, "CREATE", r, w.changes(nil, &r)))
		}
	}
	return events
}

// event is the audit log of one object.
func (p *Plugin) event(db *gorm.DB, w *write, action string, r row, changes string) *audit.Event {
	e := audit.NewEvent(audit.KindAuditLog)
	e.Set("action", action)
	e.Set("content_type", p.contentType(w.table))
	e.Set("object_id", r.id())
	e.Set("object_repr", w.repr(db, r))
	e.Set("changes", changes)
	return e
}

// unattributed is the audit log of what cannot be told object by object. rows is
// how many there were, or nil where nobody knows.
func (p *Plugin) unattributed(w *write, reason, id string, rows *int64) *audit.Event {
	p.recorder.CountUnattributed(1)
	metadata, repr := `{"unattributed":`+quoted(reason), "unattributed"
	if rows != nil {
		repr = fmt.Sprintf("%d rows, unattributed", *rows)
		metadata += `,"rows":` + strconv.FormatInt(*rows, 10)
	}
	if w.text != "" {
		metadata += `,"statement":` + quoted(w.text)
	}
	e := audit.NewEvent(audit.KindAuditLog)
	e.Set("action", w.action)
	e.Set("content_type", p.contentType(w.table))
	e.Set("object_id", id)
	e.Set("object_repr", repr) // by which it is found
	e.Set("metadata", metadata+"}")
	return e
}

// changes are the columns that differ, as JSON in the order of the table. It is
// "" where nothing does, or nothing but the time of the update.
func (w *write) changes(old, now *row) string {
	var b strings.Builder
	only := true // the time of the update
	one := now
	if one == nil {
		one = old
	}
	for i, c := range one.columns {
		before, after := "null", "null"
		if old != nil {
			if old == one || i < len(old.columns) && old.columns[i] == c {
				before = c.json(old.values[i])
			} else if v, ok := old.get(c.name); ok {
				before = c.json(v)
			}
		}
		if now != nil {
			after = c.json(now.values[i])
		}
		if before == after {
			continue
		}
		only = only && w.isUpdateTime(c.name)
		b.WriteByte(',')
		b.WriteString(quoted(c.name))
		b.WriteString(`:{"old":` + before + `,"new":` + after + `}`)
	}
	if b.Len() == 0 || only && old != nil && now != nil {
		return ""
	}
	return "{" + b.String()[1:] + "}"
}

// isUpdateTime reports whether GORM sets a column by itself at each update.
func (w *write) isUpdateTime(column string) bool {
	if w.schema == nil {
		return false
	}
	f := w.schema.FieldsByDBName[column]
	return f != nil && f.AutoUpdateTime > 0
}

// reprColumns are the columns that usually say what a row is called, as
// [audit.Track] has them.
var reprColumns = []string{"name", "title", "label", "username", "email", "number", "code", "slug"}

// repr is what an object is called: what its model says as a Stringer, or else
// by the first of the columns that is not empty, or by its table and key.
func (w *write) repr(db *gorm.DB, r row) string {
	if w.schema != nil && reflect.PointerTo(w.schema.ModelType).Implements(reflect.TypeFor[fmt.Stringer]()) {
		if s, ok := w.say(db, r); ok {
			return cut(s)
		}
	}
	for _, name := range reprColumns {
		if v, _ := r.get(name); v != nil {
			if s, ok := v.(string); ok && s != "" {
				return cut(s)
			}
		}
	}
	return cut(w.table + " " + r.id())
}

// say makes the model of a row and asks it. It is the application's code, which
// may not have thought of a model with half of its fields.
func (w *write) say(db *gorm.DB, r row) (s string, ok bool) {
	defer func() {
		if recover() != nil {
			s, ok = "", false
		}
	}()
	model := reflect.New(w.schema.ModelType)
	for i, c := range r.columns {
		if f := w.schema.FieldsByDBName[c.name]; f != nil {
			if _, big := r.values[i].(digest); !big {
				_ = f.Set(db.Statement.Context, model.Elem(), r.values[i]) // what does not fit stays zero
			}
		}
	}
	return model.Interface().(fmt.Stringer).String(), true
}

func cut(s string) string {
	if utf8.RuneCountInString(s) <= maxRepr {
		return s
	}
	return string([]rune(s)[:maxRepr])
}

// json writes a value of the column. Numbers keep every digit.
func (c column) json(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case digest:
		return string(v)
	case bool:
		return strconv.FormatBool(v)
	case int64:
		if c.kind == boolean && (v == 0 || v == 1) {
			return strconv.FormatBool(v == 1)
		}
		return strconv.FormatInt(v, 10)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return quoted(strconv.FormatFloat(v, 'g', -1, 64))
		}
		text, _ := json.Marshal(v) // it is finite
		return string(text)
	case string:
		if (c.kind == "JSON" || c.kind == "JSONB" || c.kind == "NUMERIC") && json.Valid([]byte(v)) {
			return v
		}
		return quoted(v)
	}
	return quoted(textOf(v))
}

// textOf writes a value as it stands in an object_id or an object_repr.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return hex.EncodeToString(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}

// quoted writes a text as JSON.
func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be written
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

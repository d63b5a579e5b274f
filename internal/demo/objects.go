package demo

import (
	"bytes"
	"encoding/json"
	"maps"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
)

// thing is one type of object in the shop: what it looks like, and what people
// do with it.
type thing struct {
	contentType string
	title       func(o *object) string
	fields      []field
	works       []work
	first       int // the id of the first one
	stock       int // how many there are when the trail begins
	limit       int // how many are kept in mind; an older one is left alone then

	alive []*object
	next  int
}

// field is one field of a thing.
type field struct {
	name string
	// make returns the first value.
	make func(g *generator) any
	// change returns another value; nil keeps the first.
	change func(g *generator, old any) any
}

// work is something that a team does with a thing: which fields change together.
type work struct {
	action  string
	by      team
	odds    int      // how often, against the other works
	fields  string   // names, divided by spaces
	reasons []string // one of them may be given
	when    func(o *object) bool
}

// object is one object with its present values, in the order of its fields.
type object struct {
	*thing
	id     string
	values []any
}

// get returns the present value of a field.
func (o *object) get(name string) any {
	for i, f := range o.fields {
		if f.name == name {
			return o.values[i]
		}
	}
	panic("demo: a " + o.contentType + " has no field " + name)
}

// text returns the present value of a field that holds text.
func (o *object) text(name string) string {
	s, _ := o.get(name).(string)
	return s
}

func (t *thing) module() string { return t.contentType[:strings.IndexByte(t.contentType, '.')] }

// make returns a new object, without recording its creation.
func (t *thing) make(g *generator) *object {
	o := &object{thing: t, id: strconv.Itoa(t.next), values: make([]any, len(t.fields))}
	t.next += 1 + g.IntN(2)*g.IntN(3) // others were begun and given up
	for i, f := range t.fields {
		o.values[i] = f.make(g)
	}
	if t.alive = append(t.alive, o); len(t.alive) > t.limit {
		t.alive = t.alive[1:]
	}
	return o
}

// drop forgets a deleted object.
func (t *thing) drop(o *object) {
	for i, other := range t.alive {
		if other == o {
			t.alive = append(t.alive[:i:i], t.alive[i+1:]...)
			return
		}
	}
}

// one returns an object that a work can be done on, and nil if there is none.
// The newest are in most demand.
func (t *thing) one(g *generator, w work) *object {
	for range 12 {
		if len(t.alive) == 0 {
			return nil
		}
		i := max(g.IntN(len(t.alive)), g.IntN(len(t.alive)))
		if o := t.alive[i]; w.when == nil || w.when(o) {
			return o
		}
	}
	return nil
}

// change is one field's way from a value to another.
type change struct {
	field    string
	old, new any
}

// changed is the changes of an event as JSON.
func changed(changes []change) string {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, c := range changes {
		if i > 0 {
			b.WriteByte(',')
		}
		encode(&b, c.field)
		b.WriteString(`:{"old":`)
		encode(&b, c.old)
		b.WriteString(`,"new":`)
		encode(&b, c.new)
		b.WriteByte('}')
	}
	b.WriteByte('}')
	return b.String()
}

// encode writes a value as JSON that a person can read.
func encode(b *bytes.Buffer, v any) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("demo: " + err.Error()) // the values are ours: nothing in them cannot be written
	}
	b.Truncate(b.Len() - 1) // Encode ends with a line break
}

func jsonText(v any) string {
	var b bytes.Buffer
	encode(&b, v)
	return b.String()
}

// create records that somebody made a new object, and returns it.
func (g *generator) create(s *session, request string, t *thing, set map[string]any) *object {
	g.actor = s.person
	o := t.make(g)
	changes := make([]change, 0, len(t.fields))
	for i, f := range t.fields {
		if v, ok := set[f.name]; ok {
			o.values[i] = v
		}
		if o.values[i] != nil {
			changes = append(changes, change{f.name, nil, o.values[i]})
		}
	}
	g.deed(s, request, "CREATE", o, changes, "")
	return o
}

// update records that somebody changed fields of an object to given values.
func (g *generator) update(s *session, request string, o *object, reason string, set map[string]any) *audit.Event {
	var changes []change
	for i, f := range o.fields {
		if v, ok := set[f.name]; ok && !same(v, o.values[i]) {
			changes = append(changes, change{f.name, o.values[i], v})
			o.values[i] = v
		}
	}
	return g.deed(s, request, "UPDATE", o, changes, reason)
}

// remove records that somebody deleted an object.
func (g *generator) remove(s *session, request string, o *object, reason string) {
	changes := make([]change, len(o.fields))
	for i, f := range o.fields {
		changes[i] = change{f.name, o.values[i], nil}
	}
	g.deed(s, request, "DELETE", o, changes, reason)
	o.drop(o)
	if o.contentType == "customers.customer" {
		delete(g.profiles, o.id)
		g.erased[o.id] = true
	}
}

// work records a piece of work on an object.
func (g *generator) work(s *session, request string, o *object, w work) {
	g.actor = s.person
	reason := ""
	if len(w.reasons) > 0 && g.chance(3) {
		reason = pick(g, w.reasons...)
	}
	switch w.action {
	case "VIEW", "EXPORT":
		g.deed(s, request, w.action, o, nil, reason)
	case "DELETE":
		g.remove(s, request, o, reason)
	default:
		set := map[string]any{}
		for _, name := range strings.Fields(w.fields) {
			for i, f := range o.fields {
				if f.name == name && f.change != nil {
					set[name] = f.change(g, o.values[i])
				}
			}
		}
		g.update(s, request, o, reason, set).Set("action", w.action)
	}
}

// deed records what somebody did to an object.
func (g *generator) deed(s *session, request, action string, o *object, changes []change, reason string) *audit.Event {
	e := g.event(audit.KindAuditLog, "action", action, "module", o.module(), "content_type", o.contentType,
		"object_id", o.id, "object_repr", cut(o.title(o), 200), "reason", reason)
	if len(changes) > 0 {
		e.Set("changes", changed(changes))
	}
	return s.context(e, request)
}

// same reports whether two values are alike as JSON.
func same(a, b any) bool {
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return ok && a == b
	case int:
		b, ok := b.(int)
		return ok && a == b
	case bool:
		b, ok := b.(bool)
		return ok && a == b
	case nil:
		return b == nil
	}
	return jsonText(a) == jsonText(b)
}

// with returns a copy of a JSON object in which some keys have other values.
func with(old any, pairs ...any) map[string]any {
	m, _ := old.(map[string]any)
	m = maps.Clone(m)
	if m == nil {
		m = map[string]any{}
	}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

// cut shortens a text to a number of characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

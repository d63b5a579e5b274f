package handlers

import (
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/templates"
)

// A verb is how pages say and draw an action.
type verb struct {
	did   string // "viewed": what follows is the object
	alone string // where there is no object; "" says the same
	icon  templates.Icon
	tone  templates.Tone
}

// verbs are the actions that pages know how to say; any other is said in its
// own words.
var verbs = map[string]verb{
	"CREATE":            {"created", "", templates.IconCreate, templates.Now},
	"UPDATE":            {"changed", "", templates.IconUpdate, templates.Neutral},
	"DELETE":            {"deleted", "", templates.IconDelete, templates.Was},
	"VIEW":              {"viewed", "", templates.IconView, templates.Neutral},
	"LOGIN":             {"signed in to", "signed in", templates.IconLogin, templates.Neutral},
	"LOGOUT":            {"signed out of", "signed out", templates.IconLogout, templates.Neutral},
	"LOGIN_FAILED":      {"failed to sign in to", "failed to sign in", templates.IconBad, templates.Loud},
	"EXPORT":            {"exported", "", templates.IconExport, templates.Neutral},
	"IMPORT":            {"imported", "", templates.IconImport, templates.Neutral},
	"PASSWORD_CHANGE":   {"changed the password of", "changed the password", templates.IconKey, templates.Neutral},
	"PERMISSION_CHANGE": {"changed the rights of", "changed rights", templates.IconKey, templates.Neutral},
	"RESOLVE":           {"resolved", "", templates.IconTick, templates.Sure},
	"REOPEN":            {"reopened", "", templates.IconAgain, templates.Neutral},
}

// ownVerbs are the verbs of what only this server does. An application may mean
// something else by the same word.
var ownVerbs = map[string]verb{
	"PURGE":   {"purged", "", templates.IconDelete, templates.Was},
	"REDACT":  {"redacted a field of", "redacted a field", templates.IconDelete, templates.Was},
	"BACKUP":  {"backed up", "", templates.IconExport, templates.Neutral},
	"HOLD":    {"placed a", "placed", templates.IconBlocked, templates.Neutral},
	"RELEASE": {"released a", "released", templates.IconAgain, templates.Neutral},
}

// verbOf returns how to say an action on a type of object.
func verbOf(action, contentType string) verb {
	if v, known := verbs[action]; known {
		return v
	}
	if v, known := ownVerbs[action]; known && strings.HasPrefix(contentType, db.Self+".") {
		return v
	}
	return verb{did: strings.ToLower(strings.ReplaceAll(action, "_", " ")) + ":", icon: templates.IconOther}
}

// plainly says the action where no object follows.
func (v verb) plainly() string {
	if v.alone != "" {
		return v.alone
	}
	return strings.TrimSuffix(v.did, ":")
}

// shapes are how statuses and types of events are drawn beside their words.
var shapes = map[string]struct {
	icon templates.Icon
	tone templates.Tone
}{
	"SUCCESS":     {templates.IconTick, templates.Neutral},
	"FAILED":      {templates.IconBad, templates.Loud},
	"BLOCKED":     {templates.IconBlocked, templates.Loud},
	"ERROR":       {templates.IconBad, templates.Loud},
	"WARNING":     {templates.IconWarning, templates.Neutral},
	"INFO":        {templates.IconInfo, templates.Neutral},
	"SECURITY":    {templates.IconSecurity, templates.Loud},
	"PERFORMANCE": {templates.IconSlow, templates.Neutral},
}

// badge is the action, the status or the type of an event, in the word of the
// data. It alarms only where somebody has something to do.
func badge(e *audit.Event) *templates.Badge {
	switch e.Kind {
	case audit.KindAuditLog:
		v := verbOf(e.Get("action"), e.Get("content_type"))
		return &templates.Badge{Text: e.Get("action"), Tone: v.tone, Icon: v.icon}
	case audit.KindLoginAttempt:
		return badgeNamed(e.Get("status"))
	case audit.KindSystemEvent:
		b := badgeNamed(e.Get("event_type"))
		if b.Tone == templates.Loud && e.Get("resolved") != "true" {
			b.Tone = templates.Alarm
		}
		return b
	}
	return &templates.Badge{Text: "EXPORT", Icon: templates.IconExport}
}

func badgeNamed(name string) *templates.Badge {
	shape, known := shapes[name]
	if !known {
		shape.icon = templates.IconOther
	}
	return &templates.Badge{Text: name, Tone: shape.tone, Icon: shape.icon}
}

// who is the name an event says did it: the user's name, else his id, else "".
func who(e *audit.Event) string {
	if name := e.Get("username"); name != "" {
		return name
	}
	return e.Get("user_id")
}

// somebody is the same for a sentence, which needs a subject.
func somebody(e *audit.Event) string {
	if name := who(e); name != "" {
		return name
	}
	return "someone"
}

// objectName is what an event calls the object it is about, and "" for none.
func objectName(e *audit.Event) string {
	if repr := e.Get("object_repr"); repr != "" {
		return repr
	}
	return strings.TrimSpace(e.Get("content_type") + " " + e.Get("object_id"))
}

// teller says events in sentences, and marks in them what the reader searched.
type teller struct {
	needles []string // folded
	// brief leaves out the values where several fields changed: the page of the
	// event shows all of them under its headline.
	brief bool
}

// Lengths of what a sentence quotes: a table row has one line or two.
const (
	quoteLimit = 48
	nameLimit  = 80
	titleLimit = 160
)

// text appends a text as spans of one class, with the hits in it marked. It and
// what follows append, because a page says hundreds of sentences.
func (t teller) text(to []templates.Span, s string, class templates.Class, limit int) []templates.Span {
	if len(t.needles) == 0 {
		if s = cut(s, limit); s != "" {
			to = append(to, templates.Span{Text: s, Class: class})
		}
		return to
	}
	for _, p := range mark(excerpt(s, t.needles, limit), t.needles) {
		c := class
		if p.hit {
			c = templates.Mark
		}
		to = append(to, templates.Span{Text: p.text, Class: c})
	}
	return to
}

func plain(s string) templates.Span { return templates.Span{Text: s} }

func strong(s string) templates.Span { return templates.Span{Text: s, Class: templates.Strong} }

func quiet(s string) templates.Span { return templates.Span{Text: s, Class: templates.Quiet} }

// what says what happened without saying who did it: a row has a column for
// that. The object is named too where named is set; a story of one object, and
// a list with its own column for it, leave it out.
func (t teller) what(to []templates.Span, e *audit.Event, named bool) []templates.Span {
	switch e.Kind {
	case audit.KindAuditLog:
		return t.action(to, e, named)
	case audit.KindLoginAttempt:
		return t.attempt(to, e)
	case audit.KindDataExport:
		return t.export(to, e, named)
	}
	return t.text(to, e.Get("title"), templates.Plain, titleLimit)
}

// headline is the whole sentence, with its subject. What was recorded,
// such as a name or a title, stays as it is written, also at the beginning.
func (t teller) headline(e *audit.Event) []templates.Span {
	if e.Kind == audit.KindSystemEvent {
		return t.what(nil, e, true)
	}
	name := who(e)
	switch {
	case name != "":
	case e.Kind == audit.KindLoginAttempt:
		name = "A client without a name"
	default:
		name = "Someone"
	}
	return t.what(append(t.text(nil, name, templates.Strong, nameLimit), plain(" ")), e, true)
}

// sentence is the headline as one text, for the title of a window.
func sentence(e *audit.Event) string {
	var b strings.Builder
	for _, s := range (teller{}).headline(e) {
		switch s.Class {
		case templates.Arrow:
			b.WriteString(" → ")
		case templates.Masked:
			b.WriteString("***" + s.Text)
		default:
			b.WriteString(s.Text)
		}
	}
	return b.String()
}

func (t teller) action(to []templates.Span, e *audit.Event, named bool) []templates.Span {
	action := e.Get("action")
	v := verbOf(action, e.Get("content_type"))
	object := objectName(e)
	var room [8]change
	changed := changesOf(room[:0], e.Get("changes"))
	switch {
	case action == "UPDATE" && len(changed) > 0:
		to = t.change(append(to, plain("changed ")), changed)
		if named && object != "" {
			to = t.text(append(to, plain(" on ")), object, templates.Plain, nameLimit)
		}
		return to
	case named && object != "":
		return t.text(append(to, plain(v.did+" ")), object, templates.Plain, nameLimit)
	}
	to = append(to, plain(v.plainly()))
	if object != "" && len(changed) > 0 {
		to = append(to, quiet(" with "+plural(int64(len(changed)), "field")))
	}
	return to
}

// change says one changed field with its values, and how many more there are.
func (t teller) change(to []templates.Span, changed []change) []templates.Span {
	c := &changed[t.telling(changed)]
	to = t.text(to, c.field, templates.Strong, quoteLimit)
	if c.short() && !(t.brief && len(changed) > 1) {
		to = t.value(append(to, plain(" ")), c.old, templates.Del)
		to = t.value(append(to, templates.Span{Class: templates.Arrow}), c.new, templates.Ins)
	}
	if more := len(changed) - 1; more > 0 {
		to = append(to, quiet(" and "+number(int64(more))+" more"))
	}
	return to
}

// telling chooses the field that says most: one that the reader searched for,
// else the first whose values fit into a line, else the first.
func (t teller) telling(changed []change) int {
	if len(t.needles) > 0 {
		for i, c := range changed {
			for _, text := range []string{c.field, c.old.text, c.new.text} {
				if len(text) <= markLimit && hasHit(text, t.needles) {
					return i
				}
			}
		}
	}
	for i := range changed {
		if changed[i].short() {
			return i
		}
	}
	return 0
}

func (t teller) value(to []templates.Span, v plainValue, class templates.Class) []templates.Span {
	switch {
	case v.masked:
		return append(to, templates.Span{Text: v.text, Class: templates.Masked})
	case v.missing:
		return append(to, quiet("nothing"))
	case v.text == "":
		return append(to, quiet("empty"))
	}
	return t.text(to, v.text, class, quoteLimit)
}

func (t teller) attempt(to []templates.Span, e *audit.Event) []templates.Span {
	switch e.Get("status") {
	case "SUCCESS":
		return append(to, plain("signed in"))
	case "BLOCKED":
		return t.because(to, "was blocked", e.Get("failure_reason"))
	}
	return t.because(to, "failed to sign in", e.Get("failure_reason"))
}

func (t teller) because(to []templates.Span, did, why string) []templates.Span {
	to = append(to, plain(did))
	if why != "" {
		to = t.text(append(to, plain(": ")), why, templates.Plain, titleLimit)
	}
	return to
}

func (t teller) export(to []templates.Span, e *audit.Event, named bool) []templates.Span {
	to = t.text(append(to, plain("exported ")), e.Get("export_type"), templates.Strong, nameLimit)
	if format := e.Get("file_format"); format != "" && named {
		to = t.text(append(to, plain(" as ")), format, templates.Plain, quoteLimit)
	}
	if !completed(e) {
		to = append(to, templates.Span{Text: ", broken off", Class: templates.Strong})
	}
	return to
}

// near says an event to who sees the one beside it.
func (t teller) near(st *db.Stored, shared string) []templates.Span {
	if shared == "user" {
		return t.what(nil, st.Event, true)
	}
	return t.what([]templates.Span{plain(somebody(st.Event) + " ")}, st.Event, shared != "object")
}

package query

import (
	"slices"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
)

// noun is what a value is called as the subject of a sentence.
type noun struct{ one, many string }

var nouns = map[string]noun{
	"create":            {"creation", "creations"},
	"update":            {"update", "updates"},
	"delete":            {"deletion", "deletions"},
	"view":              {"view", "views"},
	"login":             {"sign-in", "sign-ins"},
	"logout":            {"sign-out", "sign-outs"},
	"login_failed":      {"failed sign-in", "failed sign-ins"},
	"export":            {"export", "exports"},
	"import":            {"import", "imports"},
	"password_change":   {"password change", "password changes"},
	"permission_change": {"permission change", "permission changes"},

	"success": {"successful", "successful"},
	"failed":  {"failed", "failed"},
	"blocked": {"blocked", "blocked"},

	"error":       {"error", "errors"},
	"warning":     {"warning", "warnings"},
	"info":        {"info event", "info events"},
	"security":    {"security event", "security events"},
	"performance": {"performance event", "performance events"},
}

// nounsOf returns the nouns of a term's values; for a start of values of a
// closed set, of all of them. ok is false where a value has none.
func (f *Filter) nounsOf(t Term) (all []noun, ok bool) {
	for _, v := range t.Values {
		names := []string{v.Folded}
		if v.Prefix {
			names = nil
			for _, choice := range choicesOf(f.Kind, t.Field) {
				if choice = Fold(choice); strings.HasPrefix(choice, v.Folded) {
					names = append(names, choice)
				}
			}
		}
		for _, name := range names {
			n, known := nouns[name]
			if !known {
				return nil, false
			}
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all, len(all) > 0
}

// and joins what the subject consists of: updates and deletions, but no update
// or deletion.
func (s *speech) and() string {
	if s.singular {
		return "or"
	}
	return "and"
}

func (s *speech) plain(one, many string) string {
	if s.singular {
		return one
	}
	return many
}

// sayKind makes the subject, and uses up the terms that are in it.
func (s *speech) sayKind() {
	switch s.filter.Kind {
	case audit.KindAuditLog:
		s.subject = s.plain("action", "actions")
		s.sayNoun("action", "event", "events")
	case audit.KindLoginAttempt:
		s.subject = s.plain("login attempt", "login attempts")
		s.sayStatus()
	case audit.KindDataExport:
		s.subject = s.plain("data export", "data exports")
		s.sayFormat()
	case audit.KindSystemEvent:
		s.subject = s.plain("system event", "system events")
		s.sayNoun("event", "event", "events")
		s.sayState()
	}
}

// maxNouns is how many things a subject names.
const maxNouns = 4

// sayNoun makes the values of a term the subject: updates, ORDER_PAID events.
func (s *speech) sayNoun(key, one, many string) {
	t, i, ok := s.one(key, false)
	if !ok || hasEmpty(t) {
		s.sayExcept(key, "")
		return
	}
	s.said[i] = true
	if len(t.Values) > maxNouns {
		s.subject += " of " + strconv.Itoa(len(t.Values)) + " kinds"
		return
	}
	names, ok := s.filter.nounsOf(t)
	s.specific = ok
	if !ok {
		for _, v := range t.Values {
			n, known := nouns[v.Folded]
			if !known || v.Prefix {
				n = noun{show(v) + " " + one, show(v) + " " + many}
			}
			names = append(names, n)
		}
	}
	s.subject = s.list(names)
}

// list joins nouns to a subject.
func (s *speech) list(names []noun) string {
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = s.plain(n.one, n.many)
	}
	return list(words, s.and())
}

// sayExcept ends the subject with what is left out of it: actions except views.
func (s *speech) sayExcept(key, after string) {
	t, i, ok := s.one(key, true)
	if !ok || len(t.Values) > maxNouns || hasEmpty(t) {
		return
	}
	words := make([]string, len(t.Values))
	for n, v := range t.Values {
		words[n] = show(v)
		if noun, known := nouns[v.Folded]; known && !v.Prefix {
			words[n] = noun.many
		}
	}
	s.subject += " except " + list(words, "and") + after
	s.comma = true
	s.said[i] = true
}

// sayStatus puts the status before the subject, or what it is not behind it:
// failed and blocked sign-ins; login attempts except successful ones.
func (s *speech) sayStatus() {
	if t, i, ok := s.one("status", false); ok && !hasEmpty(t) {
		if names, ok := s.filter.nounsOf(t); ok {
			s.subject = s.list(names) + " " + s.plain("sign-in", "sign-ins")
			s.said[i] = true
		}
	}
	s.sayExcept("status", " ones")
}

// sayFormat puts the format before the subject: CSV and PDF exports.
func (s *speech) sayFormat() {
	t, i, ok := s.one("format", false)
	if !ok || len(t.Values) > maxNouns || hasEmpty(t) {
		return
	}
	names := make([]string, len(t.Values))
	for n, v := range t.Values {
		names[n] = strings.ToUpper(show(v))
	}
	s.subject = list(names, s.and()) + " " + s.plain("export", "exports")
	s.said[i] = true
}

// sayState puts "unresolved" before the subject, also where "resolved" is what
// is left out.
func (s *speech) sayState() {
	t, i, is := s.one("is", false)
	if u, j, isNot := s.one("is", true); isNot {
		if is {
			return // both at once: each is said as it stands
		}
		t, i = u, j
	} else if !is {
		return
	}
	switch {
	case len(t.Values) == 1:
		s.subject = t.state() + " " + s.subject
	case t.Not:
		return
	default:
		s.subject = "resolved " + s.and() + " unresolved " + s.subject
	}
	s.said[i] = true
}

// state returns the state that a term with one value asks for.
func (t Term) state() string {
	if (t.Values[0].Folded == "unresolved") != t.Not {
		return "unresolved"
	}
	return "resolved"
}

package handlers

import (
	"net/http"
	"strings"

	"github.com/a-h/templ"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/templates"
)

// redactLimit is how much of what would be lost is shown before it is.
const redactLimit = 64 << 10

// redactable are the names of the fields of an event that could be redacted now.
func redactable(st *db.Stored) []string {
	var names []string
	for _, f := range st.Kind.Fields() {
		if db.Redactable(f) && st.Get(f.Name) != "" {
			names = append(names, f.Name)
		}
	}
	return names
}

// redactForm chooses the field to redact, for who may.
func (v *visit) redactForm(st *db.Stored) *templates.Choose {
	if !v.may(http.MethodPost, "/"+st.Kind.Path()+"/{id}/redact") {
		return nil
	}
	names := redactable(st)
	if len(names) == 0 {
		return nil
	}
	form := &templates.Choose{Action: eventPath(st.Kind, st.ID) + "/redact", Field: "field", Title: "Redact a field…", Label: "Field", Button: "See what would be lost",
		Lead: "The content of one field goes for good; the rest of the event stays, and can still be proven."}
	for _, name := range names {
		form.Choices = append(form.Choices, templates.Choice{Value: name, Label: name})
	}
	return form
}

// redactField is the field that a request wants to redact.
func redactField(st *db.Stored, name string) (audit.Field, error) {
	at := st.Kind.Index(name)
	if at < 0 || !db.Redactable(st.Kind.Fields()[at]) {
		return audit.Field{}, refuse(http.StatusBadRequest, "field=%s cannot be redacted; of %s these can: %s", short(name), article(st.Kind.Singular()), strings.Join(redactable(st), ", "))
	}
	return st.Kind.Fields()[at], nil
}

// showRedact asks once more, and shows exactly what would be lost.
func (s *Server) showRedact(kind audit.Kind) func(*visit) (templ.Component, error) {
	return func(v *visit) (templ.Component, error) {
		st, err := v.event(kind)
		if err != nil {
			return nil, err
		}
		field, err := redactField(st, v.params.Get("field"))
		if err != nil {
			return nil, err
		}
		hold, err := s.Store.HoldOn(v.Context(), kind, st.ID)
		if err != nil {
			return nil, err
		}
		if hold != nil { // before a reason is typed in vain
			return nil, &db.HeldError{Hold: *hold, Event: kind, ID: st.ID}
		}
		return templates.Confirm(v.redactPage(st, field.Name, "", "")), nil
	}
}

func (v *visit) redactPage(st *db.Stored, field, text, problem string) templates.ConfirmPage {
	path := eventPath(st.Kind, st.ID)
	content := st.Get(field)
	lost := templates.Value{Spans: []templates.Span{plain(content)}, Mono: true}
	switch {
	case content == "":
		lost = templates.Value{Spans: []templates.Span{quiet("nothing: it is empty")}}
	case len(content) > redactLimit:
		lost.Spans[0].Text = strings.ToValidUTF8(content[:redactLimit], "")
		lost.Note = "and the rest, " + size(int64(len(content))) + " in all"
	}
	page := templates.ConfirmPage{
		Crumbs:   []templates.Link{{Text: viewOf(st.Kind).title(), Href: "/" + st.Kind.Path()}, {Text: cut(sentence(st.Event), titleLimit), Href: path}},
		Headline: "Redact " + field + "?",
		Lead:     []templates.Span{plain("This content is taken out of the event, the search and the files of the database, and nobody can bring it back. The other fields stay and can still be proven.")},
		Facts: []templates.Detail{
			{Name: "Field", Value: templates.Value{Spans: []templates.Span{{Text: field, Class: templates.Code}}}},
			{Name: "Lost for good", Value: lost},
			{Name: "In its place", Value: templates.Value{Spans: []templates.Span{plain("redacted by " + v.who.Name() + " on " + v.now.In(v.zone).Format("2 January 2006") + ", and your reason")}}},
			{Name: "Not reached", Value: templates.Value{Spans: []templates.Span{plain("backups, exports and archives made before")}}},
		},
		Form: templates.NoteForm{Action: path + "/redact", Field: "reason", Label: "Reason", Hint: "Every reader of the event sees it. Name the request or ticket, and not what was there.",
			Text: text, Error: problem, Button: "Redact for good", Icon: templates.IconDelete, Destroy: true, Hidden: []templates.Hidden{{Name: "field", Value: field}}},
		Cancel: templates.Link{Text: "Leave it as it is", Href: path},
	}
	page.Layout = v.layout("Redact " + field)
	return page
}

// redact takes the content of one field away.
func (s *Server) redact(kind audit.Kind) func(*visit) (done, string, error) {
	return func(v *visit) (done, string, error) {
		st, err := v.event(kind)
		if err != nil {
			return done{}, "", err
		}
		field, err := redactField(st, v.PostFormValue("field"))
		if err != nil {
			return done{}, "", err
		}
		reason, problem := v.note("reason")
		if problem != "" {
			return done{}, "", &formError{http.StatusUnprocessableEntity, templates.Confirm(v.redactPage(st, field.Name, reason, problem))}
		}
		err = s.Store.Redact(v.Context(), v.actor(), kind, st.ID, field.Name, reason)
		return done{what: "redacted"}, eventPath(kind, st.ID), v.redactedBefore(err, st, field.Name)
	}
}

// redactedPlaces are the facts that a field stands in; any other field has a part
// of the page to itself.
var redactedPlaces = map[string]string{
	"username": "Who", "user_id": "Who", "ip_address": "Where", "user_agent": "Where", "city": "Where", "country": "Where",
	"module": "Module, type", "content_type": "Module, type", "object_id": "Object", "object_repr": "Object",
	"request_id": "Request", "session_key": "Session", "function_name": "In the code", "error_code": "In the code",
	"file_path": "File", "file_format": "File", "export_type": "File",
}

// showRedacted says what was redacted, in the place of each field.
func (v *visit) showRedacted(page *templates.EventPage, st *db.Stored) error {
	all, err := v.server.Store.Redactions(v.Context(), st.Kind, st.ID)
	if err != nil {
		return err
	}
	for _, r := range all {
		spans := []templates.Span{quiet("redacted by "), {Text: r.By, Href: userPath(v, r.By)}, quiet(" on " + v.day(r.At) + ": “" + r.Reason + "”")}
		place, isFact := redactedPlaces[r.Field]
		if !isFact {
			page.Details = append([]templates.Details{{Title: sentenceCase(strings.ReplaceAll(r.Field, "_", " ")), Note: "redacted",
				Rows: []templates.Detail{{Name: r.Field, Value: templates.Value{Spans: spans}}}}}, page.Details...)
			continue
		}
		line := templates.FactLine{Spans: append([]templates.Span{{Text: r.Field, Class: templates.Code}, plain(" ")}, spans...), Long: true}
		found := false
		for i := range page.Facts {
			if page.Facts[i].Label == place {
				if who(st.Event) == "" && place == "Who" && !page.Facts[i].Lines[0].Long {
					page.Facts[i].Lines = nil // it was recorded
				}
				page.Facts[i].Lines, found = append(page.Facts[i].Lines, line), true
			}
		}
		if !found {
			page.Facts = append(page.Facts, templates.Fact{Label: place, Lines: []templates.FactLine{line}})
		}
	}
	return nil
}

// redactedOf are the fields that were redacted, of those of some events of a kind
// of which something was.
func (v *visit) redactedOf(kind audit.Kind, events []*db.Stored) (map[int64][]string, error) {
	ids := make([]int64, len(events))
	for i, st := range events {
		ids[i] = st.ID
	}
	return v.server.Store.RedactedFields(v.Context(), kind, ids)
}

// rowRedacted marks a row of which something was redacted: what it was is on the
// page of the event.
var rowRedacted = templates.Badge{Text: "redacted", Icon: templates.IconStone}

// redactedBadge marks a step of a story, of which these fields were redacted.
func redactedBadge(fields []string) *templates.Badge {
	what := strings.Join(fields, ", ")
	if len(fields) > 2 {
		what = plural(int64(len(fields)), "field")
	}
	return &templates.Badge{Text: joined(" ", what, "redacted"), Icon: templates.IconStone}
}

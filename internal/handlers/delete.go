package handlers

import (
	"net/http"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/templates"
)

// deleteForm is the form that deletes an event, for who may.
func (v *visit) deleteForm(st *db.Stored, text, problem string) *templates.NoteForm {
	path := "/" + st.Kind.Path()
	if !v.may(http.MethodPost, path+"/{id}/delete") {
		return nil
	}
	return &templates.NoteForm{
		Action: eventPath(st.Kind, st.ID) + "/delete", Field: "reason", Title: "Delete this event…",
		Lead:  "The event goes for good. In its place stays for ever that you deleted it, when, and your reason.",
		Label: "Reason", Hint: "Every reader of this place sees it. Name the request or ticket that asks for it.",
		Text: text, Error: problem, Button: "Delete and leave a trace", Icon: templates.IconDelete, Destroy: true,
	}
}

// deleteAction is how selected events are deleted.
func deleteAction(kind audit.Kind) templates.SelectAction {
	return templates.SelectAction{Action: "/" + kind.Path() + "/delete", Field: "reason", Label: "Reason for deleting",
		Hint: "It stays in the place of each of them, for ever.", Button: "Delete the selected", Destroy: true}
}

// deleteOne deletes the event that the path names. What follows is its place,
// which says that it was deleted.
func (s *Server) deleteOne(kind audit.Kind) func(*visit) (done, string, error) {
	return func(v *visit) (done, string, error) {
		id, err := v.pathID()
		if err != nil {
			return done{}, "", err
		}
		reason, problem := v.note("reason")
		if problem != "" {
			return done{}, "", s.eventAgain(v, kind, id, func(page *templates.EventPage, st *db.Stored) error {
				if page.Held == nil {
					page.Delete = v.deleteForm(st, reason, problem)
				}
				return nil
			})
		}
		n, err := s.Store.Delete(v.Context(), v.actor(), kind, []int64{id}, reason)
		return done{what: "deleted", count: n, kind: kind, id: id}, "/" + kind.Path(), err
	}
}

// deleteMany deletes the events that were ticked.
func (s *Server) deleteMany(kind audit.Kind) func(*visit) (done, string, error) {
	return func(v *visit) (done, string, error) {
		ids, err := eventIDs(v.PostForm["id"])
		reason, problem := v.note("reason")
		switch {
		case err != nil:
			return done{}, "", err
		case len(ids) == 0:
			return done{}, "", v.noneSelected(kind)
		case len(ids) > db.DeleteLimit:
			return done{}, "", refuse(http.StatusBadRequest, "%s are too many to delete at once; at most %s", plural(int64(len(ids)), "event"), number(db.DeleteLimit))
		case problem != "":
			return done{}, "", s.selectionAgain(v, kind, deleteAction(kind), ids, reason, problem)
		}
		n, err := s.Store.Delete(v.Context(), v.actor(), kind, ids, reason)
		return done{what: "deleted", count: n}, localPath(v.PostFormValue("next"), "/"+kind.Path()), err
	}
}

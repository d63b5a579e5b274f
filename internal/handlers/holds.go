package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/format"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// holdPath is the address of the form that places a hold on what a query finds.
func holdPath(kind audit.Kind, q string) string {
	return address("/holds", "kind", string(kind), "q", q) + "#holds"
}

// holdLinks lead to the form that places a hold on this event, on its object or
// on its user, for who may.
func (v *visit) holdLinks(st *db.Stored) []templates.Link {
	if !v.may(http.MethodPost, "/holds") {
		return nil
	}
	links := []templates.Link{{Text: "this event", Href: holdPath(st.Kind, "id:"+strconv.FormatInt(st.ID, 10))}}
	add := func(text string, kind audit.Kind, pairs ...string) {
		f := &query.Filter{Kind: st.Kind}
		for i := 0; i < len(pairs); i += 2 {
			term, ok := query.StoredTerm(st.Kind, pairs[i], pairs[i+1])
			if pairs[i+1] == "" || !ok {
				return
			}
			f.Terms = append(f.Terms, term)
		}
		links = append(links, templates.Link{Text: text, Href: holdPath(kind, f.String())})
	}
	if st.Kind == audit.KindAuditLog {
		add("this object", st.Kind, "type", st.Get("content_type"), "object", st.Get("object_id"))
	}
	add("this user", "", "user", st.Get("username"))
	return links
}

// heldBy says which hold keeps an event, for who sees holds: nil for none.
func (v *visit) heldBy(st *db.Stored) (*templates.Note, error) {
	if !v.may(http.MethodGet, "/holds") {
		return nil, nil
	}
	h, err := v.server.Store.HoldOn(v.Context(), st.Kind, st.ID)
	if h == nil || err != nil {
		return nil, err
	}
	return &templates.Note{Icon: templates.IconBlocked, Text: []templates.Span{plain("Under "), {Text: "legal hold " + strconv.FormatInt(h.ID, 10), Href: "/holds"},
		plain(": " + h.Reason), quiet(" (placed by " + h.HeldBy + " on " + v.day(h.HeldAt) + "; until it is released the event is neither deleted nor redacted)")}}, nil
}

// retainEvery is how often the server looks whether the retention is due, which
// it is once a day.
const retainEvery = time.Hour

// retain takes away what is kept no longer, until ctx ends.
func (s *Server) retain(ctx context.Context) {
	tick := time.NewTicker(retainEvery)
	defer tick.Stop()
	for {
		done, err := format.Retain(ctx, s.Store, s.Now())
		for kind, purged := range done {
			s.Log.InfoContext(ctx, "retention", "kind", kind, "purged", purged.Events, "held", purged.Held)
		}
		if err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "retention failed; it goes on tomorrow, or with 'auditadmin purge'", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// showHolds is the page of retention and legal holds. Its parameters fill the
// form of a new one.
func (s *Server) showHolds(v *visit) (templ.Component, error) {
	page, err := s.holdsPage(v)
	if err != nil {
		return nil, err
	}
	kind, q := v.params.Get("kind"), v.params.Get("q")
	page.Place = holdForm(kind, cut(q, noteLimit))
	page.Place.Open = q != "" || kind != ""
	return templates.Holds(page), nil
}

func holdForm(kind, q string) templates.HoldForm {
	f := templates.HoldForm{Action: "/holds", Query: q, Kinds: []templates.Choice{{Value: "", Label: "events of every kind"}}}
	for _, k := range audit.Kinds() {
		f.Kinds = append(f.Kinds, templates.Choice{Value: string(k), Label: k.Plural(), Current: string(k) == kind})
	}
	return f
}

func (s *Server) holdsPage(v *visit) (page templates.HoldsPage, err error) {
	all, err := s.Store.Holds(v.Context())
	if err != nil {
		return page, err
	}
	r, err := s.Store.Retention(v.Context())
	if err != nil {
		return page, err
	}
	page.Retention = templates.RetentionForm{Action: "/retention", Archive: r.Archive, Archived: cmp.Or(r.Archive, "nowhere: what is purged is not kept elsewhere")}
	for _, kind := range audit.Kinds() {
		days := templates.RetentionDays{Field: string(kind) + "_days", Title: viewOf(kind).title(), Kept: "for ever"}
		if n := r.Days[kind]; n > 0 {
			days.Days, days.Kept = strconv.Itoa(n), plural(int64(n), "day")
		}
		page.Retention.Kinds = append(page.Retention.Kinds, days)
	}
	for i := range all {
		page.Holds = append(page.Holds, v.hold(&all[i]))
	}
	page.Place = holdForm("", "")
	page.Layout = v.layout("Retention and legal holds")
	return page, nil
}

func (v *visit) hold(h *db.Hold) templates.Hold {
	m := templates.Hold{Number: "Hold " + strconv.FormatInt(h.ID, 10), Covers: "events of every kind", Query: h.Query, Reason: h.Reason,
		Since: v.clock(h.HeldAt, dayAndTime), By: templates.Link{Text: h.HeldBy, Href: userPath(v, h.HeldBy)}}
	if h.Kind != "" {
		m.Covers = h.Kind.Plural()
	}
	if h.Query == "" {
		m.Covers = "all " + m.Covers
	}
	for _, kind := range audit.Kinds() {
		if h.Kind == "" || h.Kind == kind {
			m.Links = append(m.Links, templates.Link{Text: "its " + kind.Plural(), Href: address("/"+kind.Path(), "q", h.Query, "tz", "UTC")})
		}
	}
	if !h.ReleasedAt.IsZero() {
		m.Released = &templates.Release{When: v.clock(h.ReleasedAt, dayAndTime), By: templates.Link{Text: h.ReleasedBy, Href: userPath(v, h.ReleasedBy)}, Reason: h.ReleaseReason}
		return m
	}
	field := "reason-" + strconv.FormatInt(h.ID, 10)
	m.Release = &templates.NoteForm{Action: "/holds/" + strconv.FormatInt(h.ID, 10) + "/release", Field: field, Title: "Release…",
		Lead: "From then on what it covers can be deleted and purged again.", Label: "Why it ends", Hint: "It stands here from then on.", Button: "Release the hold"}
	return m
}

// placeHold places a hold.
func (s *Server) placeHold(w http.ResponseWriter, v *visit) error {
	if err := readForm(w, v); err != nil {
		return err
	}
	kind, q := v.PostFormValue("kind"), strings.TrimSpace(v.PostFormValue("query"))
	reason, problem := v.note("reason")
	if kind != "" && !audit.Kind(kind).Valid() {
		return refuse(http.StatusBadRequest, "%q is no kind of event", cut(kind, nameLimit))
	}
	wrong := "reason"
	if problem == "" {
		_, err := s.Store.Hold(v.Context(), v.actor(), audit.Kind(kind), q, reason)
		var syntax *query.SyntaxError
		switch {
		case errors.As(err, &syntax):
			problem, wrong = "Nothing was done: "+fullStop(syntax.Error()), "query"
		case err != nil:
			return err
		default:
			s.leaveFlash(w, v.Request, done{what: "held"})
			http.Redirect(w, v.Request, "/holds", http.StatusSeeOther)
			return nil
		}
	}
	page, err := s.holdsPage(v)
	if err != nil {
		return err
	}
	page.Place = holdForm(kind, cut(q, noteLimit))
	page.Place.Reason, page.Place.Error, page.Place.Wrong = cut(reason, noteLimit), problem, wrong
	return render(w, v, http.StatusUnprocessableEntity, templates.Holds(page))
}

// releaseHold ends a hold.
func (s *Server) releaseHold(w http.ResponseWriter, v *visit) error {
	if err := readForm(w, v); err != nil {
		return err
	}
	id, ok := eventID(chi.URLParam(v.Request, "id"))
	if !ok {
		return refuse(http.StatusNotFound, "there is no such hold")
	}
	field := "reason-" + strconv.FormatInt(id, 10)
	reason, problem := v.note(field)
	if problem == "" {
		if err := s.Store.Release(v.Context(), v.actor(), id, reason); err != nil {
			return err
		}
		s.leaveFlash(w, v.Request, done{what: "released"})
		http.Redirect(w, v.Request, "/holds", http.StatusSeeOther)
		return nil
	}
	page, err := s.holdsPage(v)
	if err != nil {
		return err
	}
	for i := range page.Holds {
		if f := page.Holds[i].Release; f != nil && f.Field == field {
			f.Text, f.Error = cut(reason, noteLimit), problem
		}
	}
	return render(w, v, http.StatusUnprocessableEntity, templates.Holds(page))
}

// setRetention changes how long events are kept.
func (s *Server) setRetention(w http.ResponseWriter, v *visit) error {
	if err := readForm(w, v); err != nil {
		return err
	}
	r := db.Retention{Days: map[audit.Kind]int{}, Archive: strings.TrimSpace(v.PostFormValue("archive"))}
	var problems []string
	wrong := map[string]bool{}
	for _, kind := range audit.Kinds() {
		text := strings.TrimSpace(v.PostFormValue(string(kind) + "_days"))
		if text == "" {
			continue
		}
		days, err := strconv.Atoi(text)
		if err != nil || days < 1 || days > db.MostRetentionDays {
			wrong[string(kind)+"_days"] = true
			problems = append(problems, "the days to keep "+kind.Plural()+" are a number from 1 to "+number(db.MostRetentionDays)+", or empty")
		}
		r.Days[kind] = days
	}
	if info, err := os.Stat(r.Archive); r.Archive != "" && (!filepath.IsAbs(r.Archive) || err != nil || !info.IsDir()) {
		wrong["archive"] = true
		problems = append(problems, "the archive is no folder on the server: give the whole path of one that is there")
	}
	if len(problems) == 0 {
		if err := s.Store.SetRetention(v.Context(), v.actor(), r); err != nil {
			return err
		}
		s.leaveFlash(w, v.Request, done{what: "retention-set"})
		http.Redirect(w, v.Request, "/holds", http.StatusSeeOther)
		return nil
	}
	page, err := s.holdsPage(v)
	if err != nil {
		return err
	}
	page.Retention.Archive, page.Retention.ArchiveWrong, page.Retention.Error = cut(r.Archive, noteLimit), wrong["archive"], "Nothing was changed: "+strings.Join(problems, "; ")+"."
	for i := range page.Retention.Kinds {
		field := &page.Retention.Kinds[i]
		field.Days, field.Wrong = cut(v.PostFormValue(field.Field), nameLimit), wrong[field.Field]
	}
	return render(w, v, http.StatusUnprocessableEntity, templates.Holds(page))
}

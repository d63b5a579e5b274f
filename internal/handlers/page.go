package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// queryTime is how long a question to the database may take: longer than any
// honest one, and short enough that a row of them does not stand in the way.
const queryTime = 10 * time.Second

// actionTime is the same for what a form does: it may concern thousands of
// events, and is not to stop halfway.
const actionTime = time.Minute

// formLimit bounds the body of a form: a note, or the ids of a page of rows.
const formLimit = authz.FormLimit

// page makes a handler of a function that returns what to show. The page is
// made whole before its first byte is sent, so that what breaks on the way
// becomes an error page and never half a page.
func (s *Server) page(show func(*visit) (templ.Component, error)) http.HandlerFunc {
	return s.answer(func(w http.ResponseWriter, v *visit) error {
		component, err := show(v)
		if err != nil {
			return err
		}
		return render(w, v, http.StatusOK, component)
	})
}

// data makes a handler of a function that returns what to write as JSON.
func (s *Server) data(get func(*visit) (any, error)) http.HandlerFunc {
	return s.answer(func(w http.ResponseWriter, v *visit) error {
		value, err := get(v)
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, value)
	})
}

// action makes a handler of a function that does something and returns what was
// done and where to go on. The answer is a redirection, so that a reload does
// not do it again.
func (s *Server) action(do func(*visit) (done, string, error)) http.HandlerFunc {
	return s.answer(func(w http.ResponseWriter, v *visit) error {
		if err := readForm(w, v); err != nil {
			return err
		}
		did, next, err := do(v)
		if err != nil {
			return err
		}
		s.leaveFlash(w, v.Request, did)
		http.Redirect(w, v.Request, next, http.StatusSeeOther)
		return nil
	})
}

// answer makes a handler of a function that writes its own answer, or returns
// an error before it has written anything.
func (s *Server) answer(handle func(http.ResponseWriter, *visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		limit := queryTime
		if r.Method == http.MethodPost {
			limit = actionTime
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		v, err := s.visit(w, r.WithContext(ctx))
		if err == nil {
			err = handle(w, v)
		}
		if err != nil {
			s.fail(w, v, err)
		}
	}
}

// keptPage is how large a buffer may be to be kept for the next page: that of a
// list of a thousand rows has about so much.
const keptPage = 1 << 20

// render makes a page and sends it.
func render(w http.ResponseWriter, v *visit, status int, component templ.Component) error {
	page, _ := v.server.pages.Get().(*bytes.Buffer)
	if page == nil {
		page = new(bytes.Buffer)
	}
	defer func() {
		if page.Reset(); page.Cap() <= keptPage {
			v.server.pages.Put(page)
		}
	}()
	// What was asked is known by now: the time for asking does not count here,
	// or a question that took too long could not even be answered with that.
	if err := component.Render(context.WithoutCancel(v.Context()), page); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(page.Len()))
	w.WriteHeader(status)
	if v.Method != http.MethodHead {
		// Who asked is gone where this fails; there is nobody to tell.
		_, _ = page.WriteTo(w)
	}
	return nil
}

// writeJSON sends a value as JSON. Markup stays as it is: the answer is not a
// page, and says so.
func writeJSON(w http.ResponseWriter, status int, value any) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w)
	return nil
}

// fail answers with an error: as a page, or as JSON to who asked for data. What
// is our fault is logged with its whole chain, and the answer holds only the id
// under which to find it.
func (s *Server) fail(w http.ResponseWriter, v *visit, err error) {
	var f *formError
	if errors.As(err, &f) && !isTwin(v.URL.Path) {
		if err = render(w, v, f.status, f.page); err == nil {
			return
		}
	}
	seen := judge(err)
	switch {
	case errors.Is(err, context.Canceled) && v.Request.Context().Err() != nil:
		return // who asked is gone
	case seen.status >= 500:
		s.Log.ErrorContext(v.Context(), "request failed", "request_id", v.requestID(), "method", v.Method, "path", v.URL.Path,
			"status", seen.status, "error", err)
	}
	if seen.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	if isTwin(v.URL.Path) {
		_ = writeJSON(w, seen.status, errorBody(err, seen, v.requestID()))
		return
	}
	if err := render(w, v, seen.status, templates.Error(v.errorPage(err, seen))); err != nil {
		s.Log.ErrorContext(v.Context(), "error page failed", "request_id", v.requestID(), "error", err)
		http.Error(w, seen.title, seen.status)
	}
}

// formError is a form that has to be shown again, with what was typed.
type formError struct {
	status int
	page   templ.Component
}

func (e *formError) Error() string { return "the form is not complete" }

// errorBody is an error in JSON.
func errorBody(err error, seen failure, requestID string) map[string]any {
	body := map[string]any{"error": sentenceCase(seen.say)}
	var syntax *query.SyntaxError
	if errors.As(err, &syntax) {
		body["position"] = position(syntax)
		if syntax.Suggestion != "" {
			body["suggestion"] = syntax.Suggestion
		}
	}
	var deleted *db.DeletedError
	if errors.As(err, &deleted) {
		body["kind"], body["id"] = deleted.Kind, strconv.FormatInt(deleted.ID, 10)
		body["deleted_at"], body["deleted_by"], body["reason"] = audit.FormatTime(deleted.DeletedAt), deleted.DeletedBy, deleted.Reason
	}
	if seen.status >= 500 {
		body["request_id"] = requestID
	}
	return body
}

// layout is what surrounds every page. It is made last, so that the time it
// states is nearly all of the time the page took.
func (v *visit) layout(title string) templates.Layout {
	l := templates.Layout{
		Title:    title,
		Assets:   v.server.assets,
		Theme:    v.theme,
		Version:  v.server.version,
		HelpHref: "/query-help",
		Made:     made(v.server.Now().Sub(v.began)),
	}
	if h := v.server.Store.Hindrance(); h != nil {
		seen := judge(h.Err)
		l.Alarm = &templates.Banner{Title: seen.title, Since: v.clock(h.Since, dayAndTime), Text: seen.say + ".", Calm: errors.Is(h.Err, db.ErrReplica)}
		if l.Alarm.Calm {
			l.Alarm.Since = templates.Time{}
		}
	}
	if !v.who.SignedIn() {
		return l
	}
	if warnings := v.server.Store.Warnings(); len(warnings) > 0 {
		l.Warning = &templates.Banner{Title: "The database may lose events", Text: sentences(warnings)}
	}
	l.Fresh = v.freshness()
	l.Nav = v.navigation()
	l.Zone = v.zoneMenu()
	l.Account = v.accountMenu()
	l.Flash = v.flash
	if v.may(http.MethodGet, "/health") {
		l.HealthHref = "/health"
	}
	l.Printed = "Times in " + v.zone.String() + ". Printed by " + v.who.Name() + " on " + v.now.In(v.zone).Format("2 January 2006, 15:04:05") + " (" + offset(v.now.In(v.zone)) + ")."
	return l
}

// sentences makes one text of several sentences without their full stops.
func sentences(list []string) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(sentenceCase(s) + ". ")
	}
	return strings.TrimSpace(b.String())
}

// freshness says how far behind the page is that is read from a replica; "" where
// it is not.
func (v *visit) freshness() string {
	store := v.server.Store
	if !store.Replica() {
		return ""
	}
	lag, err := store.Lag(v.Context())
	if err != nil {
		return "Read from a replica."
	}
	return "Read from a replica, " + trailing(lag) + "."
}

// trailing is a lag for people: "2.4 s and 1,204 entries behind".
func trailing(lag db.Lag) string {
	behind := lag.Behind.Round(100 * time.Millisecond)
	text := strconv.FormatFloat(behind.Seconds(), 'f', 1, 64) + " s"
	if behind >= time.Minute {
		text = span(behind)
	}
	switch {
	case lag.Entries > 0:
		return text + " and " + plural(lag.Entries, "entry") + " behind"
	case lag.Entries == 0 || behind == 0:
		return "up to date"
	}
	return text + " behind"
}

// made is how long a page took, in whole milliseconds.
func made(d time.Duration) string {
	if d < time.Millisecond {
		return "less than 1 ms"
	}
	return span(d.Round(time.Millisecond))
}

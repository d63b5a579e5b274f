package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// visit is one request with what every handler needs of it: who asks, when, and
// in which zone the page speaks.
type visit struct {
	*http.Request
	server *Server
	who    authz.Identity
	began  time.Time
	now    time.Time
	zone   *time.Location
	theme  string // light, dark, or "" for what the system says
	flash  *templates.Flash
	params url.Values
}

// The cookies of what a reader chose. They hold no secret and open nothing.
const (
	zoneCookie  = "tz"
	themeCookie = "theme"
	choiceYear  = 365 * 24 * 60 * 60
)

// visit reads what is common to all requests. A zone or a theme named in the
// URL of a page is remembered; twins take theirs from the URL alone, so that a
// program gets the same answer whoever runs it.
func (s *Server) visit(w http.ResponseWriter, r *http.Request) (*visit, error) {
	v := &visit{Request: r, server: s, who: authz.From(r.Context()), began: s.Now(), now: s.Now().UTC(), zone: time.UTC, params: r.URL.Query()}
	if r.Method == http.MethodGet || r.Method == http.MethodHead { // which change nothing that they show
		v.Request = r.WithContext(db.AtOneMoment(r.Context()))
	}
	// What cannot be read would be left out, and a filter that is left out shows,
	// or exports, everything.
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		return v, refuse(http.StatusBadRequest, "the part of the address after ? cannot be read (%v); write %% as %%25 and ; as %%3B", err)
	}
	page := !isTwin(r.URL.Path)
	if err := v.chooseZone(w, r, page); err != nil || !page {
		return v, err
	}
	v.chooseTheme(w, r)
	v.flash = v.takeFlash(w, r)
	return v, nil
}

// chooseZone takes the zone that the address names. A page remembers it, and without one
// takes the one it remembers.
func (v *visit) chooseZone(w http.ResponseWriter, r *http.Request, page bool) error {
	if name := v.params.Get("tz"); name != "" {
		zone, err := zoneNamed(name)
		if err != nil {
			return err
		}
		v.zone = zone
		if page {
			v.server.remember(w, r, zoneCookie, zone.String())
		}
		return nil
	}
	if !page {
		return nil
	}
	if c, err := r.Cookie(zoneCookie); err == nil {
		// A zone that is gone from the database of zones is no reason to
		// refuse every page.
		if zone, err := zoneNamed(c.Value); err == nil {
			v.zone = zone
		}
	}
	return nil
}

// chooseTheme takes the theme that the address names, and remembers it, else the one it
// remembers.
func (v *visit) chooseTheme(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(themeCookie); err == nil && (c.Value == "light" || c.Value == "dark") {
		v.theme = c.Value
	}
	switch theme := v.params.Get("theme"); theme {
	case "light", "dark":
		v.theme = theme
		v.server.remember(w, r, themeCookie, theme)
	case "system":
		v.theme = ""
		v.server.remember(w, r, themeCookie, "")
	}
}

// remember keeps a choice for a year, and forgets it where it is empty.
func (s *Server) remember(w http.ResponseWriter, r *http.Request, name, value string) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: choiceYear, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.gate.Secure(r)}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// isTwin reports whether a path is the form of a page for programs.
func isTwin(path string) bool {
	return strings.HasSuffix(path, ".json") || strings.HasSuffix(path, ".csv") || strings.HasSuffix(path, ".ndjson") || strings.HasSuffix(path, ".zip") || strings.HasSuffix(path, "/proof") ||
		strings.HasPrefix(path, "/api/")
}

// filter reads the query of a list.
func (v *visit) filter(kind audit.Kind) (*query.Filter, error) {
	return v.parse(kind, v.params.Get("q"))
}

func (v *visit) parse(kind audit.Kind, q string) (*query.Filter, error) {
	return query.Parse(kind, q, query.Options{Now: v.now, Zone: v.zone})
}

// list is the address of a list under a filter. What the reader chose beside
// the filter stays: a zone named in the URL, so that a shared address means the
// same for everybody, and the size of the page.
func (v *visit) list(f *query.Filter) string {
	return v.listQuery(f.Kind, f.String())
}

func (v *visit) listQuery(kind audit.Kind, q string, more ...string) string {
	return address("/"+kind.Path(), append([]string{"q", q, "tz", v.params.Get("tz"), "limit", v.params.Get("limit")}, more...)...)
}

// lists makes the address of the list of a kind under any query.
func (v *visit) lists(kind audit.Kind) func(q string) string {
	return func(q string) string { return v.listQuery(kind, q) }
}

// listOf is the address of the list of a kind by the value of one field.
func (v *visit) listOf(kind audit.Kind, key, value string) string {
	return address("/"+kind.Path(), "q", v.by(kind, key, value).String(), "tz", v.params.Get("tz"))
}

// everything is the filter that leaves nothing out.
func (v *visit) everything(kind audit.Kind) *query.Filter {
	return &query.Filter{Kind: kind, Now: v.now, Zone: v.zone}
}

// by is the filter of one value of one field. What no field can have, as in a
// damaged row, is looked for as text.
func (v *visit) by(kind audit.Kind, key, value string) *query.Filter {
	f := v.everything(kind)
	for _, key := range []string{key, ""} {
		if term, ok := query.StoredTerm(kind, key, value); ok {
			f.Terms = []query.Term{term}
			break
		}
	}
	return f
}

// same is the address of this very page with some parameters set anew; an empty
// value takes one away.
func (v *visit) same(pairs ...string) string {
	all := slices.Clone(pairs)
	for name, values := range v.params {
		set := false
		for i := 0; i+1 < len(pairs); i += 2 {
			set = set || pairs[i] == name
		}
		for _, value := range values {
			if !set {
				all = append(all, name, value)
			}
		}
	}
	return address(v.URL.Path, all...)
}

// keep are the parameters that a form on this page sends along, apart from the
// ones it has fields for.
func (v *visit) keep(except ...string) []templates.Hidden {
	var hidden []templates.Hidden
	for _, name := range []string{"q", "type", "id", "name", "kind", "days", "user", "limit", "tz", "at", "select"} {
		skip := false
		for _, e := range except {
			skip = skip || e == name
		}
		if value := v.params.Get(name); value != "" && !skip {
			hidden = append(hidden, templates.Hidden{Name: name, Value: value})
		}
	}
	return hidden
}

// clock writes an instant in the page's zone, with the given layout.
func (v *visit) clock(t time.Time, layout string) templates.Time {
	if t.IsZero() {
		return templates.Time{}
	}
	return templates.Time{
		Text: t.In(v.zone).Format(layout),
		ISO:  audit.FormatTime(t),
		UTC:  t.UTC().Format(utcTime),
	}
}

// Layouts of instants. A table has the day above its rows.
const (
	timeOfDay  = "15:04:05"
	fullTime   = "15:04:05.000000"
	dayAndTime = "2 Jan 2006, 15:04:05"
	utcTime    = "2006-01-02 15:04:05.000000 UTC"
)

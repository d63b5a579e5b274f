package handlers

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// alreadySaid is how many events a sentence names that were resolved already, and
// alreadyKept how many of them it leads to.
const (
	alreadySaid = 3
	alreadyKept = 50
)

// already says of some events that were resolved before by whom, when and why.
func (v *visit) already(ids []int64) string {
	var said []string
	for _, id := range ids[:min(len(ids), alreadySaid)] {
		st, err := v.server.Store.Get(v.Context(), audit.KindSystemEvent, id)
		if err != nil || st.Get("resolved") != "true" {
			continue // it changed once more since
		}
		text := "“" + cut(st.Get("title"), quoteLimit) + "”"
		if by := st.Get("resolved_by"); by != "" {
			text += " by " + cut(by, nameLimit)
		}
		if at, err := audit.ParseTime(st.Get("resolved_at")); err == nil {
			text += " on " + v.day(at) + at.In(v.zone).Format(" at 15:04:05")
		}
		if note := st.Get("resolution_note"); note != "" {
			text += " (" + cut(note, quoteLimit) + ")"
		}
		said = append(said, text)
	}
	if more := len(ids) - len(said); more > 0 && len(said) > 0 {
		said = append(said, number(int64(more))+" more")
	}
	return strings.Join(said, "; ")
}

// alreadyLink leads to the list of these events.
func alreadyLink(ids []int64) templates.Link {
	texts := make([]string, 0, alreadyKept)
	for _, id := range ids[:min(len(ids), alreadyKept)] {
		texts = append(texts, strconv.FormatInt(id, 10))
	}
	return templates.Link{Text: "See them", Href: address("/"+audit.KindSystemEvent.Path(), "q", "id:"+strings.Join(texts, ","))}
}

// allResolved is the refusal of a bulk resolution of which nothing was open.
func (v *visit) allResolved(err error, ids []int64) error {
	if len(ids) == 1 {
		return v.overtaken(err, ids[0], true)
	}
	say := "all " + number(int64(len(ids))) + " were resolved before, so nothing was done"
	if said := v.already(ids); said != "" {
		say += ": " + said
	}
	link := alreadyLink(ids)
	return &overtaken{"They are resolved already", say, link, err}
}

// resolvedSince finds those events of what a query matched that somebody resolved
// after its page was made.
func (v *visit) resolvedSince(f *query.Filter, upTo int64) []int64 {
	since, err := v.server.Store.ResolvedSince(v.Context(), upTo)
	if err != nil || len(since) == 0 {
		return nil
	}
	for i := len(f.Terms) - 1; i >= 0; i-- {
		if f.Terms[i].Field.Key == "is" {
			f = f.Without(i)
		}
	}
	texts := make([]string, len(since))
	for i, id := range since {
		texts[i] = strconv.FormatInt(id, 10)
	}
	f, err = v.parse(f.Kind, joined(" ", f.String(), "is:resolved id:"+strings.Join(texts, ",")))
	if err != nil {
		return nil
	}
	sel, err := v.server.Store.Select(v.Context(), f)
	if err != nil {
		return nil
	}
	list, err := sel.List(v.Context(), db.Page{Limit: len(since)})
	if err != nil {
		return nil
	}
	var ids []int64
	for _, st := range list.Items {
		ids = append(ids, st.ID)
	}
	return ids
}

// countChanged asks once more where not as much matches a query as its page said:
// what was typed stays, and the page says what became of the rest.
func (s *Server) countChanged(v *visit, err error, f *query.Filter, upTo, confirm int64, note string) error {
	if !errors.Is(err, db.ErrConflict) {
		return err
	}
	ids := v.resolvedSince(f, upTo)
	sel, failed := s.Store.Select(v.Context(), f)
	if failed != nil {
		return err
	}
	count, failed := sel.Count(v.Context())
	if failed != nil || !count.Exact || count.Value > bulkLimit {
		return err
	}
	if count.Value == 0 {
		if len(ids) == 0 {
			return err
		}
		return v.allResolved(err, ids)
	}
	problem := "Nothing was done: " + plural(confirm, "event") + " matched when you looked, and " + number(count.Value) + " now, which stand below. Press the button again if you mean these."
	if len(ids) > 0 {
		problem += " Resolved since: " + v.already(ids) + "."
	}
	page, failed := s.confirmPage(v, sel, f, note, problem)
	if failed != nil {
		return err
	}
	return &formError{http.StatusConflict, templates.Confirm(page)}
}

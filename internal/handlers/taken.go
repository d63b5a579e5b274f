package handlers

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/diff"
	"github.com/auditadmin/auditadmin/web/templates"
)

// namesObject are the fields that say which object an event is about: without one
// of them it stands in no story.
var namesObject = []string{"content_type", "object_id"}

// taken is what was taken away, up to an id, that may have been of this story:
// what was deleted or purged does not say any more what it was about.
func (o *story) taken(to int64) (db.Taken, error) {
	return o.server.Store.TakenBetween(o.Context(), audit.KindAuditLog, o.oldest, to, namesObject...)
}

// nothing is the answer for an object of which there is no event.
func (o *story) nothing() error {
	taken, err := o.taken(math.MaxInt64)
	if err != nil {
		return err
	}
	if !taken.Any() {
		return refuse(http.StatusNotFound, "nothing was ever recorded of %s %s", o.contentType, short(o.objectID))
	}
	var b strings.Builder
	for _, s := range o.takenText(taken) {
		b.WriteString(s.Text)
	}
	return refuse(http.StatusNotFound, "nothing is recorded of %s %s. %s", o.contentType, short(o.objectID), strings.TrimSuffix(b.String(), "."))
}

// end is said under the oldest event of the story.
func (o *story) end(taken db.Taken) []templates.Span {
	switch {
	case taken.Any():
		return append([]templates.Span{plain("Here the story ends, as far as it is left. ")}, o.takenText(taken)...)
	case o.oldest != 0:
		return []templates.Span{plain("That is the whole story: it begins with its creation.")}
	}
	return []templates.Span{plain("That is the whole story: nothing older was recorded.")}
}

// takenText says what was taken away that may have been of this object, and leads
// to who did it and why.
func (o *story) takenText(taken db.Taken) []templates.Span {
	deeds := func(action string) string {
		return o.listQuery(audit.KindAuditLog, "action:"+action+" type:"+db.Self+"."+string(audit.KindAuditLog))
	}
	var parts [][]templates.Span
	since := ""
	if o.oldest != 0 {
		since = " since its creation"
	}
	switch {
	case taken.Deleted == 1:
		parts = append(parts, []templates.Span{{Text: "One audit log", Href: eventPath(audit.KindAuditLog, taken.Stone)}, plain(since + " was deleted")})
	case taken.Deleted > 1:
		n := number(taken.Deleted)
		if taken.Deleted == db.TakenLimit {
			n += " or more"
		}
		parts = append(parts, []templates.Span{{Text: n + " audit logs", Href: deeds("DELETE")}, plain(since + " were deleted")})
	}
	if !taken.PurgedTo.IsZero() {
		parts = append(parts, []templates.Span{plain("audit logs up to " + taken.PurgedTo.In(o.zone).Format("2 January 2006") + " were "), {Text: "purged", Href: deeds("PURGE")}})
	}
	if taken.Unnamed > 0 {
		parts = append(parts, []templates.Span{{Text: plural(taken.Unnamed, "audit log"), Href: deeds("REDACT")}, plain(" had the object redacted")})
	}
	var spans []templates.Span
	for i, part := range parts {
		switch {
		case i == 0:
			part[0].Text = sentenceCase(part[0].Text)
		case i == len(parts)-1:
			part[0].Text = " and " + part[0].Text
		default:
			part[0].Text = ", " + part[0].Text
		}
		spans = append(spans, part...)
	}
	return append(spans, plain(", which may have been of this object."))
}

// incomplete says why a state may not be what it was, nil where there is no reason.
func (o *story) incomplete(redacted int, taken db.Taken) []templates.Span {
	var spans []templates.Span
	switch {
	case redacted == 1:
		spans = append(spans, plain("Incomplete: the changes of one event were redacted, so a field may show an older value. "))
	case redacted > 1:
		spans = append(spans, plain("Incomplete: the changes of "+plural(int64(redacted), "event")+" were redacted, so a field may show an older value. "))
	}
	if taken.Any() {
		if redacted == 0 {
			spans = append(spans, plain("Possibly incomplete. "))
		}
		spans = append(spans, o.takenText(taken)...)
	}
	return spans
}

// look finds out which fields of some events were redacted, and of a story that is
// held of all of them at once.
func (o *story) look(events []*db.Stored) error {
	if o.all != nil {
		if o.redacted != nil {
			return nil
		}
		events = o.all
	}
	redacted, err := o.redactedOf(audit.KindAuditLog, events)
	if o.redacted == nil {
		o.redacted = map[int64][]string{}
	}
	maps.Copy(o.redacted, redacted)
	return err
}

// mayBeRedacted reports whether a missing write may have stood in an event whose
// changes were redacted: that is said there, and is nothing that calls for somebody.
func (o *story) mayBeRedacted(m diff.MissingWrite, events []*db.Stored) bool {
	return o.changesRedacted(events[m.Last+1:m.Step]) > 0
}

// changesRedacted is how many of some events, which were looked at, had their
// changes redacted.
func (o *story) changesRedacted(events []*db.Stored) (n int) {
	for _, st := range events {
		if slices.Contains(o.redacted[st.ID], "changes") {
			n++
		}
	}
	return n
}

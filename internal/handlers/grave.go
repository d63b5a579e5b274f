package handlers

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/templates"
)

// grave is what stays of an event that was deleted or purged.
func (v *visit) grave(t db.Tombstone) *templates.Grave {
	g := &templates.Grave{
		What:   article(t.Kind.Singular()),
		Was:    v.clock(t.Timestamp, dayAndTime),
		Taken:  "Deleted",
		When:   v.clock(t.DeletedAt, dayAndTime),
		Who:    templates.Link{Text: t.DeletedBy, Href: userPath(v, t.DeletedBy)},
		Reason: t.Reason,
	}
	if purged(t) {
		g.Taken = "Purged"
	} else {
		g.Record = "#" + number(t.Seq)
	}
	return g
}

// purged reports whether an event went with a purge, which keeps no entry of each.
func purged(t db.Tombstone) bool { return t.Seq == 0 }

// graveLinks lead on from what stays of an event: to the record of who took it
// away, to all that was done to it, and to what stands around its place.
func (v *visit) graveLinks(t db.Tombstone) []templates.Link {
	var links []templates.Link
	own := db.Self + "." + string(t.Kind)
	id := strconv.FormatInt(t.ID, 10)
	if purged(t) {
		if deed := v.purgeOf(t, own); deed != nil {
			links = append(links, templates.Link{Text: "The record of the purge", Href: eventPath(deed.Kind, deed.ID)})
		}
	} else if deed := v.deletionOf(own, id); deed != nil {
		links = append(links,
			templates.Link{Text: "The record of the deletion", Href: eventPath(deed.Kind, deed.ID)},
			templates.Link{Text: "All that was done to this event", Href: objectPath(v, deed.Event)})
	}
	return append(links, templates.Link{Text: "Its place in the list", Hint: "beside what happened around it",
		Href: v.listQuery(t.Kind, "", "after", strconv.FormatInt(t.ID+1, 10))})
}

// deedsLooked is how many records are looked at for the one of a deed: events that
// an application calls the same are never trusted, and there are hardly any.
const deedsLooked = 20

// deletionOf is the record of the deletion of an event, and nil where it cannot be
// found: it may have been purged since.
func (v *visit) deletionOf(own, id string) *db.Stored {
	return v.deed("action:DELETE type:"+own+" object:"+id, func(*db.Stored) bool { return true })
}

// purgeOf is the record of the purge that an event went with: the first one after
// it went that says it took events of that time away.
func (v *visit) purgeOf(t db.Tombstone, own string) *db.Stored {
	return v.deed("action:PURGE type:"+own+" after:"+audit.FormatTime(t.DeletedAt), func(st *db.Stored) bool {
		var took struct{ First, Last string }
		if json.Unmarshal([]byte(st.Get("metadata")), &took) != nil || who(st.Event) != t.DeletedBy {
			return false
		}
		at := audit.FormatTime(t.Timestamp)
		return took.First <= at && at <= took.Last
	})
}

// deed is the first of the program's own audit logs under a query that is fit. A
// page goes without it where it cannot be read.
func (v *visit) deed(q string, fit func(*db.Stored) bool) *db.Stored {
	f, err := v.parse(audit.KindAuditLog, q)
	if err != nil {
		return nil
	}
	sel, err := v.server.Store.Select(v.Context(), f)
	if err != nil {
		return nil
	}
	list, err := sel.List(v.Context(), db.Page{Before: 1, Limit: deedsLooked})
	if err != nil {
		return nil
	}
	for i := len(list.Items) - 1; i >= 0; i-- {
		if st := list.Items[i]; st.Source == db.Self && fit(st) {
			return st
		}
	}
	return nil
}

// article puts "a" or "an" before a noun.
func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

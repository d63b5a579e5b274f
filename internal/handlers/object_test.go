package handlers

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
)

// A story that is held gives the same events as the store.
func TestHeldStory(t *testing.T) {
	s := newSite(t)
	events := make([]map[string]string, 9)
	for i := range events {
		events[i] = map[string]string{"timestamp": at(time.Duration(i+1) * time.Hour), "action": "UPDATE", "content_type": "shop.order", "object_id": "7"}
	}
	s.load(audit.KindAuditLog, events)
	sel, err := s.store.Select(t.Context(), db.Object("shop.order", "7"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := sel.List(t.Context(), db.Page{Limit: 4})
	if err != nil {
		t.Fatal(err)
	}
	count, err := sel.Count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := &story{visit: &visit{Request: httptestGet("/objects")}, sel: sel}
	if err := o.hold(rows, count); err != nil || len(o.all) != len(events) {
		t.Fatalf("held %d events, %v; want %d", len(o.all), err, len(events))
	}
	ids := func(list *db.List) (ids []int64) {
		for _, st := range list.Items {
			ids = append(ids, st.ID)
		}
		return ids
	}
	places := []db.Page{{Limit: 1}, {Limit: 3}, {Limit: 9}, {Limit: 500}, {Before: 1, Limit: 1}, {Before: 1, Limit: 500}, {After: 1, Limit: 2}}
	for _, st := range o.all {
		for _, id := range []int64{st.ID - 1, st.ID, st.ID + 1} {
			places = append(places, db.Page{After: id, Limit: 2}, db.Page{After: id, Limit: 500}, db.Page{Before: id, Limit: 1}, db.Page{Before: id, Limit: 4})
		}
	}
	for _, place := range places {
		want, err := sel.List(t.Context(), place)
		if err != nil {
			t.Fatal(err)
		}
		got, err := o.events(place)
		if err != nil || !slices.Equal(ids(got), ids(want)) || place.Before == 0 && got.Next != want.Next {
			t.Errorf("%+v: got %s, %v; want %s", place, fmt.Sprint(ids(got), got.Next), err, fmt.Sprint(ids(want), want.Next))
		}
	}
	o.all = nil
	if err := o.hold(rows, db.Count{Value: storyReach + 1, Exact: true}); err != nil || o.all != nil {
		t.Errorf("a long story: held %d events, %v", len(o.all), err)
	}
}

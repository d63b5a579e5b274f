package handlers

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

func TestListJSON(t *testing.T) {
	s := newSite(t)
	ids := s.shop()
	var list listed
	s.data("token:read", "/audit-logs.json?q=object:42+type:shop.order&limit=2", &list)
	if list.Count != (countJSON{Value: 4, Exact: true}) || len(list.Items) != 2 || list.Next == "" || list.Previous != "" {
		t.Fatalf("got count %v, %d items, next %q, previous %q; want 4, 2, a next and no previous", list.Count, len(list.Items), list.Next, list.Previous)
	}
	item := list.Items[1]
	for name, want := range map[string]any{"id": ids[audit.KindAuditLog], "kind": "audit_log", "timestamp": "2026-03-30T12:00:00.000000Z", "username": "alice",
		"action": "UPDATE", "content_type": "shop.order", "object_id": "42", "recorded_at": "2026-03-31T12:00:00.000000Z"} {
		if item[name] != want {
			t.Errorf("%s: got %v, want %v", name, item[name], want)
		}
	}
	if _, isNumber := item["seq"].(float64); !isNumber {
		t.Errorf("seq: got %v, want a number", item["seq"])
	}
	if _, isObject := item["changes"].(map[string]any)["status"].(map[string]any); !isObject {
		t.Errorf("changes: got %v, want an object", item["changes"])
	}

	var older, newer listed
	s.data("viewer", "/audit-logs.json?q=object:42+type:shop.order&limit=2&after="+list.Next, &older)
	if len(older.Items) != 2 || older.Next != "" || older.Previous == "" {
		t.Fatalf("the next page: got %d items, next %q, previous %q; want 2, none and one", len(older.Items), older.Next, older.Previous)
	}
	s.data("viewer", "/audit-logs.json?q=object:42+type:shop.order&limit=2&before="+older.Previous, &newer)
	if len(newer.Items) != 2 || newer.Items[0]["id"] != list.Items[0]["id"] {
		t.Errorf("and back: got %v, want the first page", newer.Items)
	}

	var event map[string]any
	s.data("token:read", "/audit-logs/"+ids[audit.KindAuditLog]+".json", &event)
	if event["id"] != ids[audit.KindAuditLog] || event["kind"] != "audit_log" {
		t.Errorf("one event: got %v", event)
	}
	if body := s.page("viewer", "/data-exports.json?q=user:nobody"); !strings.Contains(body, `"items":[]`) || !strings.Contains(body, `"next":""`) {
		t.Errorf("an empty list: got %s", body)
	}
}

func TestLimitIsClamped(t *testing.T) {
	s := newSite(t)
	s.shop()
	for limit, want := range map[string]int{"0": 1, "-5": 1, "1": 1, "2": 2, "5000": 4, "99999999999999999999": 4} {
		var list listed
		s.data("viewer", "/audit-logs.json?q=object:42+type:shop.order&limit="+limit, &list)
		if len(list.Items) != want {
			t.Errorf("limit=%s: got %d items, want %d", limit, len(list.Items), want)
		}
	}
}

// Where a text is too frequent to count everywhere, a program learns how far back
// it was counted.
func TestCountSaysHowFar(t *testing.T) {
	s := newSite(t)
	events := make([]map[string]string, 6000)
	for i := range events {
		events[i] = map[string]string{"timestamp": at(time.Duration(i+1) * time.Second), "action": "VIEW", "object_repr": "Gift card"}
	}
	s.load(audit.KindAuditLog, events)
	var list listed
	s.data("viewer", "/audit-logs.json?limit=1&q=gift", &list)
	oldest := audit.FormatTime(noon.Add(-6000 * time.Second))
	if list.Count.Exact || list.Count.LookedTo <= oldest || list.Count.LookedTo >= events[0]["timestamp"] {
		t.Errorf("the count: got %+v, want an inexact one that goes back to within the events, which begin at %s", list.Count, oldest)
	}
	var line struct {
		Exact    bool   `json:"exact"`
		LookedTo string `json:"looked_to"`
	}
	s.data("viewer", "/audit-logs/timeline.json?by=day&q=gift", &line)
	if line.Exact || line.LookedTo != list.Count.LookedTo {
		t.Errorf("the timeline: got %+v, want an inexact one back to %s", line, list.Count.LookedTo)
	}
	list = listed{}
	s.data("viewer", "/audit-logs.json?limit=1&q=action:VIEW", &list)
	if want := (countJSON{Value: 6000, Exact: true}); list.Count != want {
		t.Errorf("the count of an action: got %+v, want %+v", list.Count, want)
	}
}

// A program gets as many values of a field as a list has events by default.
func TestFacetsHaveAHundredValues(t *testing.T) {
	s := newSite(t)
	events := make([]map[string]string, 110)
	for i := range events {
		events[i] = map[string]string{"timestamp": at(time.Duration(i+1) * time.Second), "action": "VIEW", "username": fmt.Sprintf("user%03d", i)}
	}
	s.load(audit.KindAuditLog, events)
	for path, want := range map[string]int{"": 100, "&limit=3": 3, "&limit=1000": 110} {
		var facets struct {
			Facets []struct {
				Key    string
				Values []facetValueJSON
				More   int
			}
		}
		s.data("viewer", "/audit-logs/facets.json?q=action:VIEW"+path, &facets)
		if f := facets.Facets[0]; f.Key != "user" || len(f.Values) != want || f.More != 110-want {
			t.Errorf("%q: got %s with %d values and %d more, want user with %d and %d", path, f.Key, len(f.Values), f.More, want, 110-want)
		}
	}
}

func TestFacetsAndTimelineJSON(t *testing.T) {
	s := newSite(t)
	s.shop()
	var facets struct {
		Facets []struct {
			Key    string
			Exact  bool
			Values []struct {
				Value string
				Count int64
			}
		}
	}
	s.data("token:read", "/audit-logs/facets.json?q=type:shop.order", &facets)
	found := false
	for _, f := range facets.Facets {
		if f.Key == "action" {
			found = f.Exact && len(f.Values) == 3 && f.Values[0].Value == "UPDATE" && f.Values[0].Count == 2
		}
	}
	if !found {
		t.Errorf("got %v, want action with UPDATE twice first", facets)
	}
	s.data("viewer", "/audit-logs/facets.json?key=action&limit=1&q=type:shop.order", &facets)
	if len(facets.Facets) != 1 || len(facets.Facets[0].Values) != 1 {
		t.Errorf("one field, one value: got %v", facets)
	}
	var line struct {
		Buckets []struct {
			Start string
			Count int64
		}
	}
	for query, want := range map[string]string{
		"by=day&q=type:shop.order":                 "2026-03-28T00:00:00Z",
		"by=day&q=type:shop.order&tz=Europe/Paris": "2026-03-27T23:00:00Z",
		"by=month&q=type:shop.order":               "2026-03-01T00:00:00Z",
		"by=year&q=type:shop.order":                "2026-01-01T00:00:00Z",
	} {
		s.data("viewer", "/audit-logs/timeline.json?"+query, &line)
		if len(line.Buckets) == 0 || line.Buckets[0].Start != want {
			t.Errorf("%s: got %v, want the first to begin at %s", query, line.Buckets, want)
		}
	}
}

func TestQueryErrors(t *testing.T) {
	s := newSite(t)
	s.shop()
	w := s.get("viewer", "/audit-logs.json?q="+url.QueryEscape("user:alice actoin:DELETE"))
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusBadRequest || body["position"] != 12.0 || body["suggestion"] != "action" || body["error"] == "" {
		t.Errorf("got %d %v, want 400 at 12 with action", w.Code, body)
	}
	page := s.get("viewer", "/audit-logs?q="+url.QueryEscape("user:alice actoin:DELETE"))
	for _, want := range []string{`value="user:alice actoin:DELETE"`, "user:alice action:DELETE", "character 12", `aria-invalid="true"`} {
		if page.Code != http.StatusBadRequest || !strings.Contains(page.Body.String(), want) {
			t.Errorf("got %d, and %q should be in the page", page.Code, want)
		}
	}
	for _, path := range []string{"/audit-logs.csv", "/audit-logs.ndjson", "/audit-logs/facets.json", "/audit-logs/timeline.json"} {
		if w := s.get("viewer", path+"?by=day&q=%22open"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"position"`) {
			t.Errorf("GET %s with an open quote: got %d %s, want 400 with a position", path, w.Code, w.Body)
		}
	}
}

func TestSuggest(t *testing.T) {
	s := newSite(t)
	s.shop()
	var answer struct {
		Start, End int
		Items      []suggestion
	}
	s.data("viewer", "/suggest.json?kind=audit_log&q=act&cursor=3", &answer)
	if len(answer.Items) != 1 || answer.Items[0].Text != "action:" || answer.Start != 0 || answer.End != 3 {
		t.Errorf("a key: got %+v", answer)
	}
	s.data("viewer", "/suggest.json?kind=audit_log&q="+url.QueryEscape("é action:UP")+"&cursor=12", &answer)
	if len(answer.Items) != 1 || answer.Items[0].Text != "UPDATE" || answer.Start != 10 || answer.Items[0].Count == nil {
		t.Errorf("a value: got %+v", answer)
	}
}

// TestExport reads both files, and the records that exporting leaves.
func TestExport(t *testing.T) {
	s := newSite(t)
	s.shop()
	s.add(audit.KindAuditLog, map[string]string{"timestamp": at(time.Hour), "action": "CREATE", "username": "=cmd|' /C calc'!A0", "object_repr": "@SUM(1)", "reason": "+1", "module": "\t-2"})

	w := s.get("viewer", "/audit-logs.csv?q="+url.QueryEscape("last:30d -module:auditadmin"))
	if got, want := w.Header().Get("Content-Type"), "text/csv; charset=utf-8"; got != want {
		t.Errorf("got type %q, want %q", got, want)
	}
	if got := w.Header().Get("Content-Disposition"); !strings.Contains(got, `filename="audit-logs-20260331-120000.csv"`) {
		t.Errorf("got disposition %q", got)
	}
	size := w.Body.Len()
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || len(rows) != 6 {
		t.Fatalf("got %d rows and %v, want a header and five", len(rows), err)
	}
	for _, row := range rows[1:] {
		for _, cell := range row {
			if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@\t") {
				t.Errorf("the cell %q is a formula", cell)
			}
		}
	}

	lines := bufio.NewScanner(s.get("token:read", "/audit-logs.ndjson?q=type:shop.order").Body)
	count := 0
	for ; lines.Scan(); count++ {
		var event map[string]any
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil || event["kind"] != "audit_log" {
			t.Errorf("line %d: %v %v", count+1, err, event)
		}
	}
	if count != 4 {
		t.Errorf("got %d lines, want 4", count)
	}

	var starts, ends listed
	s.data("viewer", "/audit-logs.json?q=action:EXPORT+user:vera", &starts)
	if len(starts.Items) != 1 || starts.Items[0]["module"] != "auditadmin" {
		t.Errorf("starts recorded: got %v, want one", starts.Items)
	}
	s.data("viewer", "/data-exports.json?q=user:vera", &ends)
	if len(ends.Items) != 1 {
		t.Fatalf("exports recorded: got %v, want one", ends.Items)
	}
	end := ends.Items[0]
	filters, _ := end["filters_applied"].(map[string]any)
	metadata, _ := end["metadata"].(map[string]any)
	if end["record_count"] != 5.0 || end["file_size"] != float64(size) || filters["q"] == "" || filters["kind"] != "audit_log" || metadata["completed"] != true {
		t.Errorf("recorded %v, want 5 rows, %d bytes, the filter, completed", end, size)
	}
	s.data("viewer", "/data-exports.json?q=user:token:robot-read", &ends)
	if len(ends.Items) != 0 {
		t.Log("a value with a colon was read as it stands")
	}
	s.do("viewer", httptest.NewRequest(http.MethodHead, "/audit-logs.csv", nil))
	s.data("viewer", "/data-exports.json?q=user:vera", &ends)
	if len(ends.Items) != 1 {
		t.Errorf("asking for the head of an export recorded one")
	}
}

// brokenPipe takes so many bytes and then no more.
type brokenPipe struct {
	*httptest.ResponseRecorder
	room int
}

func (w *brokenPipe) Write(p []byte) (int, error) {
	if w.room -= len(p); w.room < 0 {
		return 0, errors.New("the reader is gone")
	}
	return w.ResponseRecorder.Write(p)
}

// TestBrokenExport breaks an export off: the connection is broken too, and the
// record says that it was not completed.
func TestBrokenExport(t *testing.T) {
	s := newSite(t)
	s.shop()
	r := httptestGet("/audit-logs.ndjson")
	r.AddCookie(s.cookie["viewer"])
	func() {
		defer func() {
			if fault := recover(); fault != http.ErrAbortHandler {
				t.Errorf("got %v, want the connection to be aborted", fault)
			}
		}()
		s.server.ServeHTTP(&brokenPipe{httptest.NewRecorder(), 10}, r)
	}()
	var ends listed
	s.data("viewer", "/data-exports.json?q=user:vera", &ends)
	if len(ends.Items) != 1 || ends.Items[0]["metadata"].(map[string]any)["completed"] != false {
		t.Errorf("recorded %v, want one that was not completed", ends.Items)
	}
	if page := s.page("viewer", "/data-exports/"+ends.Items[0]["id"].(string)); !strings.Contains(page, "broken off") {
		t.Error("its page does not say so")
	}
}

package audit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestContextFillsWhatAnEventLacks(t *testing.T) {
	request := func() *RequestInfo {
		return &RequestInfo{ID: "r1", SessionKey: "s1", Method: "POST", Path: "/orders/42", UserAgent: "Firefox", Address: netip.MustParseAddr("203.0.113.9")}
	}
	bg := context.Background()
	alice, bob := User{"7", "alice"}, User{"8", "bob"}
	for _, test := range []struct {
		name string
		ctx  func() context.Context
		e    map[string]string
		want map[string]string
	}{
		{"nothing known", func() context.Context { return bg }, nil,
			map[string]string{"user_id": "", "username": "", "ip_address": "", "module": "shop", "reason": ""}},
		{"user", func() context.Context { return WithUser(bg, alice) }, nil, map[string]string{"user_id": "7", "username": "alice"}},
		{"the event's own user wins whole", func() context.Context { return WithUser(bg, alice) }, map[string]string{"username": "bob"},
			map[string]string{"user_id": "", "username": "bob"}},
		{"request", func() context.Context { return WithRequest(bg, request()) }, nil,
			map[string]string{"request_id": "r1", "session_key": "s1", "user_agent": "Firefox", "ip_address": "203.0.113.9", "user_id": ""}},
		{"user of the request, set later", func() context.Context {
			ctx := WithRequest(bg, request())
			if !SetUser(ctx, bob) || !SetSession(ctx, "s2") {
				t.Error("SetUser and SetSession say that there is no request")
			}
			return ctx
		}, nil, map[string]string{"user_id": "8", "username": "bob", "session_key": "s2"}},
		{"WithUser before the user of the request", func() context.Context {
			ctx := WithRequest(bg, request())
			SetUser(ctx, bob)
			return WithUser(ctx, alice)
		}, nil, map[string]string{"username": "alice"}},
		{"module, reason", func() context.Context { return WithReason(WithModule(bg, "billing"), "ticket 5") }, nil,
			map[string]string{"module": "billing", "reason": "ticket 5"}},
		{"on behalf of", func() context.Context { return OnBehalfOf(WithUser(bg, alice), bob) }, map[string]string{"metadata": `{"a":1}`},
			map[string]string{"username": "alice", "metadata": `{"a":1,"on_behalf_of":"bob","on_behalf_of_id":"8"}`}},
		{"an IPv4 address within IPv6", func() context.Context {
			q := request()
			q.Address = netip.MustParseAddr("::ffff:198.51.100.7")
			return WithRequest(bg, q)
		}, nil, map[string]string{"ip_address": "198.51.100.7"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sink := &memory{}
			r := strict(t, sink, Module("shop"))
			e := anAudit(1)
			for field, value := range test.e {
				e.Set(field, value)
			}
			if err := r.Record(test.ctx(), e); err != nil {
				t.Fatal(err)
			}
			got := sink.only(t)
			for field, want := range test.want {
				if got := got.Get(field); got != want {
					t.Errorf("%s: got %q, want %q", field, got, want)
				}
			}
			if got.Source != "test" {
				t.Errorf("source: got %q, want test", got.Source)
			}
		})
	}
	if SetUser(bg, alice) {
		t.Error("SetUser without a request says that it did something")
	}
}

func TestSourceOfTheContextWins(t *testing.T) {
	sink := &memory{}
	r := strict(t, sink)
	if err := r.Record(WithSource(context.Background(), "nightly job"), anAudit(1)); err != nil {
		t.Fatal(err)
	}
	if got := sink.only(t).Source; got != "nightly job" {
		t.Errorf("got %q, want nightly job", got)
	}
}

func TestAttemptKeepsTheNameThatWasTyped(t *testing.T) {
	sink := &memory{}
	r := strict(t, sink)
	if err := r.LoginFailed(WithUser(context.Background(), User{"7", "alice"}), "", "no name"); err != nil {
		t.Fatal(err)
	}
	if got := sink.only(t).Get("username"); got != "" {
		t.Errorf("got %q, want the empty name that was typed", got)
	}
}

func TestSkips(t *testing.T) {
	on := func(path string) context.Context {
		return WithRequest(context.Background(), &RequestInfo{Path: path})
	}
	bg := context.Background()
	audit := func(action, contentType string) func() (*Event, error) {
		return (&AuditLog{Action: action, ContentType: contentType}).Event
	}
	system := func(eventType string) func() (*Event, error) {
		return (&SystemEvent{EventType: eventType, Title: "x"}).Event
	}
	login := (&LoginAttempt{Status: "FAILED"}).Event
	export := (&DataExport{ExportType: "Orders"}).Event
	for _, test := range []struct {
		name    string
		ctx     context.Context
		event   func() (*Event, error)
		skipped bool
	}{
		{"ordinary", bg, audit("UPDATE", "shop.order"), false},
		{"type", bg, audit("UPDATE", "auth.Session"), true},
		{"type in another case", bg, audit("UPDATE", "AUTH.SESSION"), true},
		{"type by its beginning", bg, audit("CREATE", "cache.entry"), true},
		{"not only the beginning of a name", bg, audit("CREATE", "auth.SessionKey"), false},
		{"action", bg, audit("view", "shop.order"), true},
		{"goose", bg, audit("CREATE", "goose_db_version"), true},
		{"golang-migrate in a schema", bg, audit("UPDATE", "public.schema_migrations"), true},
		{"django", bg, audit("CREATE", "django_migrations"), true},
		{"the inbox", bg, audit("CREATE", "main.auditadmin_inbox"), true},
		{"path", on("/healthz"), audit("UPDATE", "shop.order"), true},
		{"path below", on("/static/app.js"), system("PERFORMANCE"), true},
		{"another path", on("/healthz2"), audit("UPDATE", "shop.order"), false},
		{"errors on a skipped path", on("/healthz"), system("ERROR"), false},
		{"attacks on a skipped path", on("/healthz"), system("SECURITY"), false},
		{"sign-ins on a skipped path", on("/healthz"), login, false},
		{"paused", Paused(bg), audit("CREATE", "shop.order"), true},
		{"errors while paused", Paused(bg), system("error"), false},
		{"news while paused", Paused(bg), system("INFO"), true},
		{"exports while paused", Paused(bg), export, false},
		{"sign-ins while paused", Paused(bg), login, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			sink := &memory{}
			r := strict(t, sink, SkipTypes("auth.session", "cache.*"), SkipActions("View"), SkipPaths("/healthz", "/static/*"))
			e, err := test.event()
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Record(test.ctx, e); err != nil {
				t.Fatal(err)
			}
			want := Stats{Recorded: 1, Stored: 1}
			if test.skipped {
				want = Stats{Skipped: 1}
			}
			got := r.Stats()
			if got.Recorded != want.Recorded || got.Stored != want.Stored || got.Skipped != want.Skipped || len(sink.all()) != int(want.Stored) {
				t.Errorf("got recorded %d, stored %d, skipped %d, want %d, %d, %d", got.Recorded, got.Stored, got.Skipped, want.Recorded, want.Stored, want.Skipped)
			}
		})
	}
}

func TestSkippedEventsLeaveTheOthers(t *testing.T) {
	sink := &memory{}
	r := strict(t, sink, SkipTypes("skip"))
	var events []*Event
	for i, contentType := range []string{"a", "skip", "b", "skip", "c"} {
		e := anAudit(i)
		e.Set("content_type", contentType)
		events = append(events, e)
	}
	if err := r.Record(context.Background(), events...); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range sink.all() {
		got = append(got, e.Get("content_type"))
	}
	if strings.Join(got, "") != "abc" || events[1].Get("content_type") != "skip" {
		t.Errorf("got %v, want a, b and c, and the caller's slice as it was", got)
	}
}

func TestSampledViewsSaySo(t *testing.T) {
	sink := &memory{}
	r := strict(t, sink, SampleViews(10))
	for range 100 {
		if err := r.LogViewAccess(context.Background(), "shop.order", "42", "Order 42"); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(sink.all()); got != 10 {
		t.Errorf("got %d views, want 10", got)
	}
	if got, want := sink.all()[0].Get("metadata"), `{"sampled":"1 of 10"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := r.Stats().Skipped; got != 90 {
		t.Errorf("got %d skipped, want 90", got)
	}
}

func TestSecretsAreMaskedBeforeAnythingSeesThem(t *testing.T) {
	const secret = "hunter2-hunter2"
	sink := &memory{away: errAway}
	dir := t.TempDir()
	var log strings.Builder
	r := spooling(t, sink, dir, MaskFields("iban"), MaskKey([]byte("0123456789abcdef0123456789abcdef")), Logger(textLogger(&log)))
	err := r.LogAuditEvent(context.Background(), AuditLog{Action: "UPDATE", Changes: Changes{
		"password": {Old: secret, New: "another"}, "IBAN": {Old: secret, New: secret}}})
	if err != nil {
		t.Fatal(err)
	}
	if on := spoolText(t, dir); strings.Contains(on, secret) || !strings.Contains(on, Mask) {
		t.Errorf("the spool holds the secret, or no mask: %s", on)
	}
	sink.setAway(nil)
	eventually(t, "the spool is empty", func() bool { return r.Stats().Waiting == 0 && len(sink.all()) == 2 })
	changes := ParseChanges(sink.all()[0].Get("changes"))
	if len(changes) != 2 || changes[0].Old != changes[0].New || changes[1].Old == changes[1].New || changes[0].Old != changes[1].Old {
		t.Errorf("equal secrets do not look equal, or others do: %+v", changes)
	}
	if got := r.Stats().Masked; got != 4 {
		t.Errorf("got %d masked, want 4", got)
	}
	if err := r.Close(context.Background()); err != nil { // nobody writes the log any more
		t.Fatal(err)
	}
	if strings.Contains(log.String(), secret) {
		t.Errorf("the log holds the secret: %s", log.String())
	}
}

type keyedSink struct{ memory }

func (*keyedSink) MaskKey(context.Context) ([]byte, error) {
	return []byte("the key of the database"), nil
}

func TestMaskKeyComesFromTheSink(t *testing.T) {
	sink := &keyedSink{}
	r := strict(t, sink)
	if err := r.LogAuditEvent(context.Background(), AuditLog{Action: "UPDATE", Metadata: map[string]any{"password": "x1"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := sink.only(t).Get("metadata"), `{"password":"`+NewMasker([]byte("the key of the database")).mask("x1")+`"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestInvalidEventIsAnErrorAndNothingIsRecorded(t *testing.T) {
	sink := &memory{}
	r := strict(t, sink)
	bad := NewEvent(KindAuditLog) // without an action
	err := r.Record(context.Background(), anAudit(1), bad, anAudit(2))
	var wrong *FieldError
	if !errors.As(err, &wrong) || wrong.Field != "action" {
		t.Errorf("got %v, want a FieldError about action", err)
	}
	if err := r.LogAuditEvent(context.Background(), AuditLog{Action: "UPDATE", Metadata: make(chan int)}); !errors.As(err, &wrong) || wrong.Field != "metadata" {
		t.Errorf("got %v, want a FieldError about metadata", err)
	}
	if s := r.Stats(); s.Failed != 4 || s.Recorded != 0 || len(sink.all()) != 0 || s.LastError == "" {
		t.Errorf("got %d failed, %d recorded, want 4 and 0, with the last error %q", s.Failed, s.Recorded, s.LastError)
	}
}

func TestSecondAttemptIsTheSameEvent(t *testing.T) {
	sink := &memory{away: errAway}
	r := strict(t, sink)
	ctx := OnBehalfOf(WithUser(context.Background(), User{"7", "alice"}), User{"8", "bob"})
	e := anAudit(1)
	if err := r.Record(ctx, e); !errors.Is(err, errAway) {
		t.Fatalf("got %v, want the sink's error", err)
	}
	sink.setAway(nil)
	for range 3 {
		if err := r.Record(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	events, notices := noticesApart(sink.all())
	if s := r.Stats(); len(events) != 1 || s.Duplicates != 2 || s.Conflicts != 0 {
		t.Errorf("got %d events, %d duplicates, %d conflicts, want 1, 2, 0", len(events), s.Duplicates, s.Conflicts)
	}
	if len(notices) != 1 || notices[0].Get("title") != "1 event could not be stored" {
		t.Errorf("got %d notices, want one that says that an event could not be stored", len(notices))
	}
}

func TestRecordGoesOnWhenTheClientIsGone(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, r := range map[string]*Recorder{"strict": strict(t, &memory{}), "spool": spooling(t, &memory{}, t.TempDir())} {
		if err := r.Record(ctx, anAudit(1)); err != nil {
			t.Errorf("%s: got %v, want it recorded", name, err)
		}
	}
}

func TestStrictGivesUpAfterItsTimeout(t *testing.T) {
	r := strict(t, &memory{slow: make(chan struct{})}, SinkTimeout(time.Millisecond))
	if err := r.Record(context.Background(), anAudit(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want a deadline that passed", err)
	}
}

func TestUnattributedIsCounted(t *testing.T) {
	r := strict(t, &memory{})
	for _, ctx := range []context.Context{context.Background(), WithUser(context.Background(), User{Name: "job"})} {
		if err := r.Record(ctx, anAudit(1)); err != nil {
			t.Fatal(err)
		}
	}
	r.CountUnattributed(5)
	if got := r.Stats().Unattributed; got != 6 {
		t.Errorf("got %d, want 6", got)
	}
}

func TestNewRefusesSettingsThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		options []Option
		want    string
	}{
		{nil, "SpoolDir"},
		{[]Option{Strict(), SpoolDir(dir)}, "one of them"},
		{[]Option{SpoolDir(dir), SpoolLimit(0, Block)}, "SpoolLimit"},
		{[]Option{Strict(), SinkTimeout(0)}, "SinkTimeout"},
		{[]Option{Strict(), DrainEvery(nil, time.Second)}, "DrainEvery"},
	} {
		if r, err := New(&memory{}, test.options...); err == nil || !strings.Contains(err.Error(), test.want) || r != nil {
			t.Errorf("got %v, want an error that names %s", err, test.want)
		}
	}
}

func TestClosedRecorder(t *testing.T) {
	for name, r := range map[string]*Recorder{"strict": strict(t, &memory{}), "spool": spooling(t, &memory{}, t.TempDir())} {
		for range 2 {
			if err := r.Close(context.Background()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := r.Record(context.Background(), anAudit(1)); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
		if got := r.Stats().Failed; got != 1 {
			t.Errorf("%s: got %d failed, want 1", name, got)
		}
	}
}

type summing struct{ memory }

func (*summing) Summary(_ context.Context, user string, days int) (Summary, error) {
	return Summary{TotalActions: int64(days), Creates: int64(len(user))}, nil
}

func TestSummary(t *testing.T) {
	if _, err := strict(t, &memory{}).Summary(context.Background(), "", 7); !errors.Is(err, ErrNoSummary) {
		t.Errorf("got %v, want ErrNoSummary", err)
	}
	got, err := strict(t, &summing{}).Summary(context.Background(), "alice", 7)
	if err != nil || got.TotalActions != 7 || got.Creates != 5 {
		t.Errorf("got %+v, %v, want the sink's numbers", got, err)
	}
}

func TestEventIDsSortByTime(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	seen := map[string]bool{}
	last := ""
	for i := range 2000 {
		id := newEventID(at.Add(time.Duration(i) * time.Millisecond))
		if seen[id] || id <= last || len(id) != 26 {
			t.Fatalf("%q follows %q", id, last)
		}
		seen[id], last = true, id
	}
}

type fixedPlace struct{}

func (fixedPlace) Locate(a netip.Addr) (country, city string) {
	if a == netip.MustParseAddr("203.0.113.9") {
		return "France", "Lyon"
	}
	return "", ""
}

func TestSignIns(t *testing.T) {
	ctx := WithRequest(context.Background(), &RequestInfo{Address: netip.MustParseAddr("203.0.113.9")})
	for _, test := range []struct {
		name   string
		record func(*Recorder) error
		kind   Kind
		want   map[string]string
	}{
		{"success", func(r *Recorder) error { return r.LoginSucceeded(ctx, "alice") }, KindLoginAttempt,
			map[string]string{"username": "alice", "status": "SUCCESS", "country": "France", "city": "Lyon", "ip_address": "203.0.113.9"}},
		{"failure", func(r *Recorder) error { return r.LoginFailed(ctx, "alice", "wrong password") }, KindLoginAttempt,
			map[string]string{"status": "FAILED", "failure_reason": "wrong password", "country": "France"}},
		{"blocked", func(r *Recorder) error { return r.LoginBlocked(ctx, "alice", "too many attempts") }, KindLoginAttempt,
			map[string]string{"status": "BLOCKED", "failure_reason": "too many attempts"}},
		{"logout", func(r *Recorder) error {
			return r.LoggedOut(WithUser(ctx, User{"7", "alice"}), "alice")
		}, KindAuditLog, map[string]string{"action": "LOGOUT", "username": "alice", "user_id": "7"}},
		{"place given", func(r *Recorder) error {
			return r.LogLoginAttempt(ctx, LoginAttempt{Status: "SUCCESS", Country: "Spain"})
		}, KindLoginAttempt, map[string]string{"country": "Spain", "city": ""}},
		{"address unknown", func(r *Recorder) error {
			return r.LogLoginAttempt(ctx, LoginAttempt{Status: "SUCCESS", IPAddress: "192.0.2.1"})
		}, KindLoginAttempt, map[string]string{"country": "", "city": ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sink := &memory{}
			if err := test.record(strict(t, sink, Locate(fixedPlace{}))); err != nil {
				t.Fatal(err)
			}
			e := sink.only(t)
			if e.Kind != test.kind {
				t.Errorf("kind: got %s, want %s", e.Kind, test.kind)
			}
			for field, want := range test.want {
				if got := e.Get(field); got != want {
					t.Errorf("%s: got %q, want %q", field, got, want)
				}
			}
		})
	}
}

func TestThousandsOfGoroutines(t *testing.T) {
	sink := &memory{}
	r := spooling(t, sink, t.TempDir(), SinkTimeout(time.Minute))
	const goroutines, each = 2000, 5
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			ctx := WithRequest(context.Background(), &RequestInfo{ID: fmt.Sprint(g)})
			for i := range each {
				if g == goroutines/2 && i == 0 {
					sink.setAway(errAway)
				} else if g == goroutines/2 && i == each-1 {
					sink.setAway(nil)
				}
				SetUser(ctx, User{Name: fmt.Sprint("user ", i)})
				if err := r.Record(ctx, anAudit(g*each+i)); err != nil {
					t.Error(err)
				}
				_ = r.Stats()
			}
		})
	}
	all.Wait()
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	events, _ := noticesApart(sink.all())
	seen := map[string]bool{}
	for _, e := range events {
		seen[e.Get("object_id")] = true
	}
	if len(events) != goroutines*each || len(seen) != goroutines*each {
		t.Errorf("got %d events of %d objects, want %d", len(events), len(seen), goroutines*each)
	}
	if s := r.Stats(); s.Recorded != goroutines*each || s.Waiting != 0 || s.Failed != 0 {
		t.Errorf("got %d recorded, %d waiting, %d failed", s.Recorded, s.Waiting, s.Failed)
	}
}

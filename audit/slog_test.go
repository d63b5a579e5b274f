package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLogRecordsBecomeSystemEvents(t *testing.T) {
	type order struct {
		ID   int
		Name string
	}
	ctx := WithRequest(WithUser(context.Background(), User{"7", "alice"}), &RequestInfo{ID: "r1"})
	for _, test := range []struct {
		name string
		log  func(*slog.Logger)
		want map[string]string // nil: nothing is recorded
	}{
		{"error", func(l *slog.Logger) {
			l.ErrorContext(ctx, "cannot charge", "error", errors.New("card declined"), "code", "E12")
		},
			map[string]string{"event_type": "ERROR", "title": "cannot charge", "description": "card declined", "error_code": "E12",
				"username": "alice", "request_id": "r1", "function_name": "github.com/auditadmin/auditadmin/audit.TestLogRecordsBecomeSystemEvents.func1"}},
		{"warning", func(l *slog.Logger) { l.Warn("low on stock") }, map[string]string{"event_type": "WARNING"}},
		{"information", func(l *slog.Logger) { l.Info("started") }, nil},
		{"stack", func(l *slog.Logger) { l.Error("panic", "stack", "goroutine 1 [running]") },
			map[string]string{"stack_trace": "goroutine 1 [running]"}},
		{"attributes and groups", func(l *slog.Logger) {
			l.With("a", 1).WithGroup("g").With("b", true).Error("x", slog.Group("in", "c", 2*time.Second), "o", order{1, "first"}, "e", []error{errors.New("one")})
		}, map[string]string{"metadata": `{"a":1,"g":{"b":true,"e":["one"],"in":{"c":"2s"},"o":{"ID":1,"Name":"first"}}}`}},
		{"empty groups", func(l *slog.Logger) { l.WithGroup("g").Error("x", slog.Group("h")) }, map[string]string{"metadata": ""}},
		{"secrets", func(l *slog.Logger) { l.Error("x", "password", "hunter2") }, map[string]string{"metadata": `{"password":"***5d7c5a9d1ea4"}`}},
		{"what JSON cannot say", func(l *slog.Logger) { l.Error("x", "f", func() {}, "c", make(chan int), "nan", nan()) },
			map[string]string{"metadata": `{"c":null,"f":null,"nan":"NaN"}`}},
		{"no UTF-8", func(l *slog.Logger) { l.Error("a\xffb") }, map[string]string{"title": "a\uFFFDb"}},
		{"no message", func(l *slog.Logger) { l.Error("") }, map[string]string{"title": "(no message)"}},
		{"a valuer that panics", func(l *slog.Logger) { l.Error("x", "v", panicky{}) }, map[string]string{"title": "x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sink := &memory{}
			r := strict(t, sink, MaskKey([]byte("key")))
			test.log(slog.New(r.SlogHandler(slog.DiscardHandler, slog.LevelWarn)))
			if test.want == nil {
				if got := len(sink.all()); got != 0 {
					t.Errorf("got %d events, want none", got)
				}
				return
			}
			e := sink.only(t)
			for field, want := range test.want {
				got := e.Get(field)
				if field == "metadata" {
					file, rest := cutMember(got, "file")
					if !strings.HasSuffix(file, `slog_test.go"`) {
						t.Errorf("the file is %s", file)
					}
					got = rest
				}
				if got != want && !(field == "metadata" && strings.Contains(want, Mask) && strings.Contains(got, Mask)) {
					t.Errorf("%s: got %s, want %s", field, got, want)
				}
			}
			if e.Get("line_number") == "" || e.Get("function_name") == "" {
				t.Error("it does not say which line logged")
			}
			if strings.Contains(e.Get("metadata"), "hunter2") {
				t.Error("the metadata holds the secret")
			}
		})
	}
}

func nan() float64 { var zero float64; return zero / zero }

type panicky struct{}

func (panicky) String() string { panic("no") }

// cutMember takes a member out of an object that was written with sorted keys.
func cutMember(object, key string) (value, rest string) {
	var kept []string
	members(object, func(k, raw string) bool {
		if k == key {
			value = raw
		} else {
			kept = append(kept, `"`+k+`":`+raw)
		}
		return true
	})
	if len(kept) == 0 {
		return value, ""
	}
	return value, "{" + strings.Join(kept, ",") + "}"
}

func TestHandlerHandsOn(t *testing.T) {
	var out strings.Builder
	r := strict(t, &memory{})
	l := slog.New(r.SlogHandler(slog.NewTextHandler(&out, nil), nil)).With("a", 1).WithGroup("g")
	l.Debug("quiet")
	l.Warn("loud", "b", 2)
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "msg=loud a=1 g.b=2") {
		t.Errorf("got %q, want what the next handler makes of it", got)
	}
	if got := r.Stats().Recorded; got != 0 {
		t.Errorf("got %d recorded, want none below ERROR", got)
	}
}

// loudSink logs whatever happens, into the handler that records.
type loudSink struct {
	memory
	log func() *slog.Logger
	ctx bool
}

func (s *loudSink) Append(ctx context.Context, events []*Event) (Appended, error) {
	if l := s.log(); s.ctx {
		l.ErrorContext(ctx, "the sink is asked")
	} else {
		l.Error("the sink is asked")
	}
	return s.memory.Append(ctx, events)
}

func TestLoggingSinkMakesNoCircle(t *testing.T) {
	for _, withContext := range []bool{true, false} {
		t.Run(fmt.Sprint("context ", withContext), func(t *testing.T) {
			var log *slog.Logger
			sink := &loudSink{log: func() *slog.Logger { return log }, ctx: withContext}
			start := time.Now()
			r := strict(t, sink, Now(func() time.Time { return start })) // the clock stands: no more than a burst
			log = slog.New(r.SlogHandler(slog.DiscardHandler, nil))
			log.Error("once")
			if err := r.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			got := len(sink.all())
			if withContext && got != 1 || got > logBurst+1 {
				t.Errorf("got %d events", got)
			}
		})
	}
}

func TestFloodOfErrorsIsBoundedAndSaid(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	sink := &memory{}
	r := strict(t, sink, Now(clock))
	log := slog.New(r.SlogHandler(slog.DiscardHandler, nil))
	for range 500 {
		log.Error("again")
	}
	if s := r.Stats(); s.Recorded != logBurst || s.Dropped != 500-logBurst {
		t.Errorf("got %d recorded and %d dropped, want %d and %d", s.Recorded, s.Dropped, logBurst, 500-logBurst)
	}
	mu.Lock()
	now = now.Add(time.Second)
	mu.Unlock()
	log.Error("later")
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	_, notices := noticesApart(sink.all())
	if len(notices) != 1 || notices[0].Get("metadata") != `{"dropped":400}` {
		t.Errorf("got %v, want a notice of what was dropped", notices)
	}
}

func TestLogDoesNotWaitLong(t *testing.T) {
	sink := &memory{slow: make(chan struct{})}
	r := strict(t, sink)
	start := time.Now()
	slog.New(r.SlogHandler(slog.DiscardHandler, nil)).Error("x")
	if took := time.Since(start); took > 20*logWait {
		t.Errorf("it took %s", took)
	}
	close(sink.slow)
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := len(sink.all()); got != 1 {
		t.Errorf("got %d events, want the one that was slow", got)
	}
}

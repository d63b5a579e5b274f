package audit

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"
)

// How much of an application's log is recorded: a burst of logBurst records,
// and logRate a second in the long run. An application that fails in a loop has
// said what it has to say by then.
const (
	logBurst = 100
	logRate  = 10
	logWait  = 250 * time.Millisecond
)

// SlogHandler returns a handler that hands every record to next, and records
// what is at least of the given level as a system event: ERROR, WARNING or INFO
// after the record's level. A level of nil is slog.LevelError.
//
// The event has the function and line that logged; the attributes in its
// metadata; an attribute "error" or "err" as description; "stack", "stacktrace"
// or "stack_trace" as stack trace; "code" or "error_code" as error code. It has
// the user, request and address of the context that was logged with.
//
// Handle returns after the event is durable, or a quarter of a second later.
// What the recorder and its sink log meanwhile is not recorded, so there is no
// circle. At most 100 records at once and 10 a second in the long run are
// recorded; the others are counted as Dropped, and a system event says so.
func (r *Recorder) SlogHandler(next slog.Handler, level slog.Leveler) slog.Handler {
	if level == nil {
		level = slog.LevelError
	}
	return &logHandler{r: r, next: next, level: level}
}

type logHandler struct {
	r      *Recorder
	next   slog.Handler
	level  slog.Leveler
	scopes []logScope // from the outermost group inwards; the first is no group
}

// logScope is a group with the attributes that were given within it.
type logScope struct {
	group string
	attrs []slog.Attr
}

func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level.Level() || h.next.Enabled(ctx, level)
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	with := h.copy(h.next.WithAttrs(attrs))
	if len(with.scopes) == 0 {
		with.scopes = append(with.scopes, logScope{})
	}
	last := &with.scopes[len(with.scopes)-1]
	last.attrs = append(last.attrs[:len(last.attrs):len(last.attrs)], attrs...)
	return with
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := h.copy(h.next.WithGroup(name))
	with.scopes = append(with.scopes, logScope{group: name})
	return with
}

func (h *logHandler) copy(next slog.Handler) *logHandler {
	return &logHandler{r: h.r, next: next, level: h.level, scopes: append([]logScope(nil), h.scopes...)}
}

// Handle hands the record on and records it. The error is next's: a log that
// works does not fail because the audit database is away.
func (h *logHandler) Handle(ctx context.Context, rec slog.Record) error {
	var err error
	if h.next.Enabled(ctx, rec.Level) {
		err = h.next.Handle(ctx, rec)
	}
	if rec.Level >= h.level.Level() && !isOwn(ctx) {
		h.r.logs.put(ctx, h.event(rec))
	}
	return err
}

// event makes the system event of a record.
func (h *logHandler) event(rec slog.Record) *Event {
	s := SystemEvent{Timestamp: rec.Time, EventType: "INFO", Title: first(rec.Message, "(no message)")}
	switch {
	case rec.Level >= slog.LevelError:
		s.EventType = "ERROR"
	case rec.Level >= slog.LevelWarn:
		s.EventType = "WARNING"
	}
	meta := map[string]any{}
	inner := meta
	for _, scope := range h.scopes {
		if scope.group != "" {
			group := map[string]any{}
			inner[scope.group] = group
			inner = group
		}
		for _, a := range scope.attrs {
			s.take(inner, a)
		}
	}
	rec.Attrs(func(a slog.Attr) bool {
		s.take(inner, a)
		return true
	})
	if rec.PC != 0 {
		frame, _ := runtime.CallersFrames([]uintptr{rec.PC}).Next()
		s.FunctionName, s.LineNumber = frame.Function, int64(frame.Line)
		meta["file"] = frame.File
	}
	prune(meta)
	if len(meta) > 0 {
		s.Metadata = meta
	}
	e, err := s.Event()
	if err != nil { // an attribute that JSON cannot say: the rest is worth more
		s.Metadata = map[string]string{"attributes": err.Error()}
		e, _ = s.Event()
	}
	for i := range e.values {
		e.values[i] = strings.ToValidUTF8(e.values[i], "\uFFFD") // a log may say anything
	}
	return e
}

// take puts an attribute where it belongs in the event.
func (s *SystemEvent) take(meta map[string]any, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		to := meta
		if a.Key != "" {
			group, ok := meta[a.Key].(map[string]any)
			if !ok {
				group = map[string]any{}
				meta[a.Key] = group
			}
			to = group
		}
		for _, in := range v.Group() {
			s.take(to, in)
		}
		return
	}
	if a.Key == "" {
		return
	}
	value := plain(v.Any())
	text, isText := value.(string)
	field := map[string]*string{
		"error": &s.Description, "err": &s.Description,
		"stack": &s.StackTrace, "stacktrace": &s.StackTrace, "stack_trace": &s.StackTrace,
		"code": &s.ErrorCode, "error_code": &s.ErrorCode,
	}[a.Key]
	if field != nil && isText && *field == "" {
		*field = text
		return
	}
	meta[a.Key] = value
}

// prune takes off groups without attributes.
func prune(meta map[string]any) {
	for key, v := range meta {
		if group, ok := v.(map[string]any); ok {
			if prune(group); len(group) == 0 {
				delete(meta, key)
			}
		}
	}
}

// logQueue records what was logged, in a goroutine of its own: whoever logs may
// hold what the sink needs to go on.
type logQueue struct {
	r     *Recorder
	queue chan logged
	done  chan struct{}

	mu      sync.Mutex
	closed  bool
	tokens  float64
	last    time.Time
	dropped int64 // since the last event that said so
}

type logged struct {
	ctx  context.Context
	e    *Event
	done chan struct{}
}

func (q *logQueue) open(r *Recorder) {
	q.r = r
	q.queue, q.done = make(chan logged, logBurst), make(chan struct{})
	q.tokens, q.last = logBurst, r.now()
	go q.work()
}

func (q *logQueue) put(ctx context.Context, e *Event) {
	l := logged{context.WithoutCancel(ctx), e, make(chan struct{})}
	if !q.admit(l) {
		return
	}
	t := time.NewTimer(logWait)
	defer t.Stop()
	select {
	case <-l.done:
	case <-t.C:
	}
}

// admit lets a record in, or counts it as dropped.
func (q *logQueue) admit(l logged) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.r.now()
	q.tokens = min(logBurst, q.tokens+max(0, now.Sub(q.last).Seconds())*logRate)
	q.last = now
	if !q.closed && q.tokens >= 1 {
		select {
		case q.queue <- l:
			q.tokens--
			return true
		default:
		}
	}
	q.dropped++
	q.r.counts.dropped.Add(1)
	return false
}

func (q *logQueue) work() {
	defer close(q.done)
	for l := range q.queue {
		q.record(l)
		close(l.done)
		q.reportDropped()
	}
}

func (q *logQueue) record(l logged) {
	if err := q.r.Record(own(l.ctx), l.e); err != nil {
		q.r.logger.ErrorContext(own(l.ctx), "an error in the log was not recorded", "error", err)
	}
}

// reportDropped says how many records came too fast, as soon as one gets
// through again.
func (q *logQueue) reportDropped() {
	q.mu.Lock()
	n := q.dropped
	if q.tokens < 1 && !q.closed { // the burst goes on
		n = 0
	}
	q.dropped -= n
	q.mu.Unlock()
	if n == 0 {
		return
	}
	q.record(logged{ctx: context.Background(), e: q.r.ownEvent(SystemEvent{Timestamp: q.r.now(), EventType: "WARNING", Module: "audit",
		Title:       plural(n, "log record") + " came too fast to be recorded",
		Description: "They are in the application's own log.", Metadata: map[string]any{"dropped": n}})})
}

// close records what is queued, for as long as ctx lets it.
func (q *logQueue) close(ctx context.Context) {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.queue)
	}
	q.mu.Unlock()
	select {
	case <-q.done:
		q.reportDropped()
	case <-ctx.Done():
	}
}

package audit

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A Sink stores events. The events given to it were normalized and masked, have
// an event_id and a timestamp, and stay the caller's. It returns after they are
// durable: all of them, or on an error perhaps none. The same kind, event_id and
// timestamp is the same event, so whoever is in doubt gives it again.
//
// Events that would be refused at every further attempt are told from a sink
// that is away by an error that wraps [ErrRejected].
type Sink interface {
	Append(ctx context.Context, events []*Event) (Appended, error)
}

// Appended says what became of the events given to a Sink.
type Appended struct {
	Accepted   int // stored now
	Duplicates int // were there already, conflicts among them
	Conflicts  int // were there already with another body
}

// What callers of a Recorder may branch on.
var (
	ErrClosed    = errors.New("the recorder is closed")
	ErrRejected  = errors.New("rejected for good")     // wrapped by a Sink for what it will never take
	ErrSpoolFull = errors.New("the spool is full")     // see SpoolLimit
	ErrSpoolBusy = errors.New("the spool is in use")   // by another recorder; from New
	ErrNoSummary = errors.New("the sink cannot count") // from Summary
)

// A Recorder records what an application does. It is safe for use by thousands
// of goroutines. Everything that is recorded takes the same way: [Recorder.Record].
type Recorder struct {
	settings
	sink   Sink
	masker *Masker
	spool  *spool // nil where Strict
	counts counters
	logs   logQueue

	views   atomic.Uint64
	lost    atomic.Int64 // events that could not be stored, until the sink can be told so
	away    away
	using   sync.RWMutex    // held for reading by whoever records
	closed  bool            // under using
	closing context.Context // of the work in the background
	close   context.CancelFunc
	workers sync.WaitGroup
}

// New returns a recorder that stores in sink. It needs either SpoolDir or
// Strict; it opens the spool, and begins to deliver what an earlier process
// left there. The caller closes the recorder, and after that the sink.
func New(sink Sink, options ...Option) (*Recorder, error) {
	r := &Recorder{settings: defaultSettings(), sink: sink}
	for _, o := range options {
		o.apply(&r.settings)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("new recorder: %w", err)
	}
	r.closing, r.close = context.WithCancel(own(context.Background()))
	if err := r.openMasker(); err != nil {
		r.close()
		return nil, fmt.Errorf("new recorder: %w", err)
	}
	if !r.strict {
		var err error
		if r.spool, err = openSpool(r.spoolDir, r.spoolLimit, r.atLimit); err != nil {
			r.close()
			return nil, fmt.Errorf("new recorder: %w", err)
		}
		r.workers.Go(r.deliverLoop)
	}
	for _, in := range r.inboxes {
		r.workers.Go(func() { r.drainLoop(in) })
	}
	r.logs.open(r)
	return r, nil
}

// keyed is a sink that has a key for the fingerprints of masked values.
type keyed interface {
	MaskKey(ctx context.Context) ([]byte, error)
}

func (r *Recorder) openMasker() error {
	key := r.maskKey
	if k, ok := r.sink.(keyed); ok && len(key) == 0 {
		ctx, cancel := context.WithTimeout(r.closing, r.timeout)
		defer cancel()
		var err error
		if key, err = k.MaskKey(ctx); err != nil {
			return fmt.Errorf("ask the sink for its mask key: %w", err)
		}
	}
	if len(key) == 0 {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails
	}
	r.masker = NewMasker(key, r.maskOptions...)
	return nil
}

// LogAuditEvent records who did what to which object. See Record.
func (r *Recorder) LogAuditEvent(ctx context.Context, a AuditLog) error {
	e, err := a.Event()
	return r.recordTyped(ctx, e, err)
}

// LogSystemEvent records an error, a warning, or something else about the
// system itself. See Record.
func (r *Recorder) LogSystemEvent(ctx context.Context, s SystemEvent) error {
	e, err := s.Event()
	return r.recordTyped(ctx, e, err)
}

// LogDataExport records an export of data. Where the application writes the
// export itself, [Recorder.Export] counts for it. See Record.
func (r *Recorder) LogDataExport(ctx context.Context, d DataExport) error {
	e, err := d.Event()
	return r.recordTyped(ctx, e, err)
}

// LogLoginAttempt records an attempt to sign in. See Record, and LoginSucceeded,
// LoginFailed and LoginBlocked.
func (r *Recorder) LogLoginAttempt(ctx context.Context, l LoginAttempt) error {
	e, err := l.Event()
	return r.recordTyped(ctx, e, err)
}

// LogViewAccess records that the user looked at an object. See Record, and
// ViewHandler.
func (r *Recorder) LogViewAccess(ctx context.Context, contentType, objectID, objectRepr string) error {
	return r.LogAuditEvent(ctx, AuditLog{Action: "VIEW", ContentType: contentType, ObjectID: objectID, ObjectRepr: objectRepr})
}

func (r *Recorder) recordTyped(ctx context.Context, e *Event, err error) error {
	if err != nil {
		return r.failed(1, fmt.Errorf("record: %w", err))
	}
	return r.Record(ctx, e)
}

// Record is the one way in. It gives each event what it lacks and ctx knows,
// leaves out what the options skip, normalizes, masks secrets, and gives it an
// event_id, by which a second attempt with the same event is known for one. It
// returns after all of the events are durable, in the sink or in the spool; on
// an error none of them is, unless the sink could not say.
//
// An invalid event is an error, a *FieldError, and nothing of the call is
// recorded. The events are Record's during the call and are changed by it.
//
// Record goes on when ctx is cancelled: that a client went away does not undo
// what it did. SinkTimeout bounds how long it takes. Only where the spool is
// full, and is to Block, it waits for as long as ctx lets it.
func (r *Recorder) Record(ctx context.Context, events ...*Event) error {
	r.using.RLock()
	defer r.using.RUnlock()
	if r.closed {
		return r.failed(len(events), fmt.Errorf("record: %w", ErrClosed))
	}
	ready, err := r.prepare(ctx, events)
	if err != nil {
		return r.failed(len(events), fmt.Errorf("record: %w", err))
	}
	if len(ready) == 0 {
		return nil
	}
	if err := r.store(ctx, ready); err != nil {
		return r.failed(len(ready), fmt.Errorf("record %s: %w", ready[0].Kind.Singular(), err))
	}
	r.counts.recorded.Add(int64(len(ready)))
	return nil
}

// failed counts events that were not recorded, which their caller is told.
func (r *Recorder) failed(n int, err error) error {
	r.counts.failed.Add(int64(n))
	r.counts.noteError(err, r.now())
	return err
}

// prepare makes events ready to be stored and returns those that are to be.
func (r *Recorder) prepare(ctx context.Context, events []*Event) ([]*Event, error) {
	now := r.now()
	ready := events
	var skipped, masked, unattributed int
	for i, e := range events {
		if r.skips(ctx, e) {
			if skipped == 0 {
				ready = append([]*Event(nil), events[:i]...)
			}
			skipped++
			continue
		}
		r.fill(ctx, e)
		e.FillTime(now)
		if err := e.Normalize(now); err != nil {
			return nil, err
		}
		if e.Kind == KindLoginAttempt {
			r.locate(e)
		}
		masked += r.masker.Mask(e)
		if e.Kind == KindAuditLog && e.Get("user_id") == "" && e.Get("username") == "" {
			unattributed++
		}
		if e.EventID == "" {
			e.EventID = newEventID(now)
		}
		if skipped > 0 {
			ready = append(ready, e)
		}
	}
	r.counts.skipped.Add(int64(skipped))
	r.counts.masked.Add(int64(masked))
	r.counts.unattributed.Add(int64(unattributed))
	return ready, nil
}

// skips reports whether an event is one of those that are not recorded.
func (r *Recorder) skips(ctx context.Context, e *Event) bool {
	if e.Kind == KindLoginAttempt || e.Kind == KindDataExport {
		return false
	}
	if e.Kind == KindSystemEvent {
		switch upperASCII(e.Get("event_type")) {
		case "INFO", "PERFORMANCE":
		default:
			return false
		}
	}
	if IsPaused(ctx) {
		return true
	}
	if q := RequestFrom(ctx); q != nil && r.skipPaths.match(q.Path) {
		return true
	}
	if e.Kind != KindAuditLog {
		return false
	}
	action := upperASCII(e.Get("action"))
	if r.skipActions[action] || r.SkipsType(e.Get("content_type")) {
		return true
	}
	if action == "VIEW" && r.sampleViews > 1 {
		if (r.views.Add(1)-1)%r.sampleViews != 0 {
			return true
		}
		meta := &e.values[e.Kind.Index("metadata")]
		if _, err := checkJSON(*meta); err == nil || *meta == "" {
			*meta = addMember(*meta, "sampled", fmt.Sprintf("1 of %d", r.sampleViews))
		}
	}
	return false
}

// SkipsType reports whether audit logs of a content type are skipped.
// Integrations ask before they read a row only to compare it.
func (r *Recorder) SkipsType(contentType string) bool {
	return Bookkeeping(contentType) || r.skipTypes.match(contentType)
}

// store puts events where they are durable.
func (r *Recorder) store(ctx context.Context, events []*Event) error {
	if r.spool != nil {
		return r.storeOrSpool(ctx, events)
	}
	err := r.storeNow(ctx, events)
	if err != nil && !errors.Is(err, ErrRejected) {
		r.lost.Add(int64(len(events)))
	}
	return err
}

// storeNow gives events to the sink, once.
func (r *Recorder) storeNow(ctx context.Context, events []*Event) error {
	ctx, cancel := context.WithTimeout(own(context.WithoutCancel(ctx)), r.timeout)
	defer cancel()
	stored, err := r.sink.Append(ctx, events)
	if err != nil {
		return err
	}
	r.counts.store(stored)
	if r.lost.Load() > 0 {
		r.reportLost(ctx)
	}
	return nil
}

// Close ends the work in the background, waits for what is under way, and
// delivers what waits in the spool for as long as ctx lets it. What is left then
// stays on disk for the next start, and Close says how much that is.
func (r *Recorder) Close(ctx context.Context) error {
	r.logs.close(ctx)
	r.close() // nobody waits for room any more, and everything under way comes to its end
	r.using.Lock()
	closed := r.closed
	r.closed = true
	r.using.Unlock()
	if closed {
		return nil
	}
	r.workers.Wait()
	if r.spool == nil {
		return nil
	}
	return r.closeSpool(ctx)
}

// idEncoding keeps the order of the bytes.
var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newEventID returns a name that no other event has, and that sorts by the time
// at which it was given: 48 bits of milliseconds and 80 random ones.
func newEventID(now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(b[6:]) // never fails
	var text [26]byte
	idEncoding.Encode(text[:], b[:])
	return string(text[:])
}

package handlers

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/internal/db"
)

// Limits of POST /api/v1/events. What one event may be is in package audit.
const (
	ingestBody = 8 << 20 // inflated

	// A body has to arrive within ingestTime, and is stored, or refused because
	// the database is busy, within storeTime more.
	ingestTime = 20 * time.Second
	storeTime  = 15 * time.Second

	// What all bodies together may take in memory beyond the first ingestFree
	// of each: for their events a little more than the worst one body can be,
	// 8 MiB of the smallest events, and for the lines being read, which may be
	// rubbish. One that finds no room waits for roomTime.
	ingestMemory = 128 << 20
	lineMemory   = 16 << 20
	ingestFree   = 64 << 10
	roomTime     = 2 * time.Second
	eventCost    = 384 // of an event beside its line, in bytes

	// One token may send as fast as any database stores, and is stopped only
	// where it runs wild.
	tokenRate   = 2000 // requests a second
	tokenBurst  = 4000
	tokenFlying = 256 // requests at a time
)

// ingest takes in events that programs send.
type ingest struct {
	server *Server
	masker *audit.Masker
	memory *semaphore.Weighted // for events
	lines  *semaphore.Weighted // for lines
	rate   rate.Limit
	burst  int
	arrive time.Duration
	wait   time.Duration

	mutex  sync.Mutex
	tokens map[int64]*sender // only those that exist: the gate let them in
}

// sender is what is known about one token.
type sender struct {
	limiter   *rate.Limiter
	flying    int
	conflicts int // not recorded yet
}

func newIngest(ctx context.Context, s *Server) (*ingest, error) {
	key, err := s.Store.MaskKey(ctx)
	if err != nil {
		return nil, err
	}
	return &ingest{server: s, masker: audit.NewMasker(key), memory: semaphore.NewWeighted(ingestMemory), lines: semaphore.NewWeighted(lineMemory),
		rate: tokenRate, burst: tokenBurst, arrive: ingestTime, wait: roomTime, tokens: map[int64]*sender{}}, nil
}

// ingestError refuses a body: what is wrong with it, and where.
type ingestError struct {
	status int
	line   int64         // 0 where it is the body as a whole
	after  time.Duration // when to try again, if that may help
	say    string
}

func (e *ingestError) Error() string { return e.say }

func bad(line int64, format string, args ...any) *ingestError {
	return &ingestError{status: http.StatusBadRequest, line: line, say: fmt.Sprintf(format, args...)}
}

func tooLarge(line int64, format string, args ...any) *ingestError {
	return &ingestError{status: http.StatusRequestEntityTooLarge, line: line, say: fmt.Sprintf(format, args...)}
}

func isTooLarge(err error) bool {
	var own *ingestError
	return errors.As(err, &own) && own.status == http.StatusRequestEntityTooLarge
}

func later(status int, after time.Duration, say string) *ingestError {
	return &ingestError{status: status, after: after, say: say}
}

// ServeHTTP stores the events of a body, all of them or none, and answers after
// they are durable. A program that got no answer, or one that says when to try
// again, sends the same body again: an event with an event_id is stored once.
func (in *ingest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := authz.From(r.Context()).Token
	done, err := in.admit(token.ID)
	if err != nil {
		in.refuse(w, r, err)
		return
	}
	defer done()
	// Where the connection has no deadlines, as in some tests, none is needed.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(in.arrive))
	// What has arrived is stored, also where its sender has closed his half of
	// the connection or is gone: he would only have to send it again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), in.arrive+storeTime)
	defer cancel()

	room := &room{memory: in.memory, ctx: ctx, wait: in.wait}
	defer room.leave()
	events, err := in.read(r, token.Name, room)
	if err != nil {
		in.refuse(w, r, err)
		return
	}
	stored, err := in.server.Store.Append(ctx, events)
	if err != nil {
		in.refuse(w, r, err)
		return
	}
	if stored.Conflicts > 0 {
		in.conflict(r, token, stored.Conflicts)
	}
	_ = writeJSON(w, http.StatusOK, map[string]int{"accepted": stored.Accepted, "duplicates": stored.Duplicates, "conflicts": stored.Conflicts})
}

// admit lets a token send another request now, or says when it may.
func (in *ingest) admit(token int64) (done func(), err error) {
	in.mutex.Lock()
	defer in.mutex.Unlock()
	s := in.sender(token)
	if s.flying >= tokenFlying {
		return nil, later(http.StatusTooManyRequests, time.Second, fmt.Sprintf("this token has %d requests on their way already; send fewer at a time, with more events each", s.flying))
	}
	now := time.Now()
	if turn := s.limiter.ReserveN(now, 1); turn.DelayFrom(now) > 0 {
		wait := turn.DelayFrom(now)
		turn.CancelAt(now)
		return nil, later(http.StatusTooManyRequests, wait, "this token sends too many requests; send more events in each")
	}
	s.flying++
	return func() {
		in.mutex.Lock()
		defer in.mutex.Unlock()
		s.flying--
	}, nil
}

// sender is called with the mutex held.
func (in *ingest) sender(token int64) *sender {
	s := in.tokens[token]
	if s == nil {
		s = &sender{limiter: rate.NewLimiter(in.rate, in.burst)}
		in.tokens[token] = s
	}
	return s
}

// read reads the events of a body and makes them ready to be stored. Size is
// judged before everything else: a mistake in a line is held back until the
// rest of the body has been seen to fit.
func (in *ingest) read(r *http.Request, source string, room *room) ([]*audit.Event, error) {
	if coding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); coding != "" && coding != "gzip" && coding != "x-gzip" && coding != "identity" {
		return nil, &ingestError{status: http.StatusUnsupportedMediaType, say: "a body comes as it is or compressed with gzip, not with " + short(coding)}
	}
	body := bufio.NewReaderSize(&limited{r: r.Body, left: ingestBody}, 16<<10) // what is packed is no larger than what it unpacks to
	lineRoom := *room
	lineRoom.memory = in.lines
	defer lineRoom.leave()
	lines, err := newBodyLines(body, &lineRoom)
	if err != nil {
		return nil, err
	}
	var events []*audit.Event
	var wrong error // the first mistake
	now := in.server.Now()
	for {
		line, err := lines.next()
		switch {
		case err == io.EOF:
			return events, wrong
		case err != nil && wrong != nil && !isTooLarge(err):
			return nil, wrong
		case err != nil:
			return nil, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		e, err := in.event(line, lines.number, source, now)
		switch {
		case isTooLarge(err):
			return nil, err
		case err != nil && wrong == nil:
			wrong, events = err, nil
		case wrong == nil:
			if err := room.take(len(line) + eventCost); err != nil {
				return nil, err
			}
			events = append(events, e)
		}
	}
}

// event reads one line.
func (in *ingest) event(line []byte, number int64, source string, now time.Time) (*audit.Event, error) {
	e, err := audit.DecodeEvent(line, audit.DecodeOptions{})
	if err == nil {
		if name, size := e.LargestField(); size > audit.MaxField {
			return nil, tooLarge(number, "line %d: the field %q has %d bytes; a field may have %d KiB at most", number, name, size, audit.MaxField>>10)
		}
		e.FillTime(now)
		err = e.Normalize(now)
	}
	if err != nil {
		if largestMember(line) > audit.MaxField {
			return nil, tooLarge(number, "line %d: a field may have %d KiB at most", number, audit.MaxField>>10)
		}
		return nil, bad(number, "line %d: %s", number, err.Error())
	}
	in.masker.Mask(e)
	e.Source = source
	return e, nil
}

// largestMember measures the values of an object that cannot be decoded, so
// that a field that is too large is called that, whatever else is wrong.
func largestMember(line []byte) (largest int) {
	if len(line) <= audit.MaxField {
		return 0
	}
	depth, start, quoted := 0, len(line), false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ':' && depth == 1:
			start = i
		case c == ',' && depth == 1:
			largest, start = max(largest, i-start-1), len(line)
		}
	}
	return max(largest, len(line)-start-2) // up to the last brace, or the end of what broke off
}

// conflict records that events came twice with different bodies: at once, and
// then once a minute for what followed.
func (in *ingest) conflict(r *http.Request, token *db.Token, n int) {
	in.mutex.Lock()
	s := in.sender(token.ID)
	s.conflicts += n
	in.mutex.Unlock()
	actor := authz.ActorOf(r)
	err := in.server.gate.Fold(r.Context(), "conflict "+strconv.FormatInt(token.ID, 10), func(ctx context.Context, requests int) error {
		in.mutex.Lock()
		n := s.conflicts
		s.conflicts = 0
		in.mutex.Unlock()
		e := audit.NewEvent(audit.KindSystemEvent)
		e.Set("event_type", "WARNING")
		e.Set("title", "Events of "+token.Name+" came again with another body")
		e.Set("description", "An event of the same kind, event_id and timestamp is stored already and says something else. "+
			"The stored one stays; what came again was left out. The program makes an event_id twice, or changed an event after sending it.")
		e.Set("error_code", "CONFLICT")
		e.Set("metadata", asJSON(map[string]any{"token": token.Name, "conflicts": n, "requests": requests}))
		err := in.server.Store.Record(ctx, actor, e)
		if err != nil { // to be told with the next
			in.mutex.Lock()
			s.conflicts += n
			in.mutex.Unlock()
		}
		return err
	})
	if err != nil {
		in.server.Log.ErrorContext(r.Context(), "record a conflict", "token", token.Name, "conflicts", n, "error", err)
	}
}

// refuse answers a request whose events were not stored, or may not have been.
func (in *ingest) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var own *ingestError
	if !errors.As(err, &own) {
		seen := judge(err)
		if in.server.Store.Hindrance() == nil { // said once already, and a log may be on the same disk
			in.server.Log.ErrorContext(r.Context(), "events not stored", "status", seen.status, "error", err)
		}
		own = &ingestError{status: seen.status, say: sentenceCase(seen.say)}
		if seen.status == http.StatusServiceUnavailable {
			own.after = 2 * time.Second
			if errors.Is(err, db.ErrFull) || errors.Is(err, db.ErrReadOnly) {
				own.after = 5 * time.Second // until somebody does something about it
			}
		}
	}
	// Who is still sending reads no answer: let the rest arrive, within bounds.
	_, _ = io.CopyN(io.Discard, r.Body, ingestBody)
	if own.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(own.after.Seconds()))))
	}
	body := map[string]any{"error": own.say}
	if own.line > 0 {
		body["line"] = own.line
	}
	_ = writeJSON(w, own.status, body)
}

var errNoRoom = later(http.StatusServiceUnavailable, time.Second, "too many events are on their way at this moment; send them again in a second")

// room is the share of one request in the memory for all.
type room struct {
	memory *semaphore.Weighted
	ctx    context.Context
	wait   time.Duration
	used   int
	held   int
}

// take asks for n bytes more.
func (m *room) take(n int) error {
	m.used += n
	need := m.used - ingestFree - m.held
	if need <= 0 {
		return nil
	}
	need = (need + ingestFree - 1) / ingestFree * ingestFree
	ctx, cancel := context.WithTimeout(m.ctx, m.wait)
	defer cancel()
	if err := m.memory.Acquire(ctx, int64(need)); err != nil {
		return errNoRoom
	}
	m.held += need
	return nil
}

func (m *room) leave() { m.memory.Release(int64(m.held)) }

// limited reads at most left bytes, and errBody beyond.
type limited struct {
	r    io.Reader
	left int64
}

var errBody = tooLarge(0, "a body may have %d MiB at most, unpacked; send the events in several", ingestBody>>20)

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.left {
		return int(l.left), errBody
	}
	l.left -= int64(n)
	return n, err
}

// bodyLines are the lines of a body, unpacked.
type bodyLines struct {
	r      *bufio.Reader
	room   *room
	buf    []byte
	number int64
}

func newBodyLines(body *bufio.Reader, room *room) (*bodyLines, error) {
	l := &bodyLines{r: body, room: room}
	head, err := body.Peek(2)
	if err != nil && err != io.EOF {
		return nil, broken(0, err)
	}
	if bytes.Equal(head, []byte{0x1f, 0x8b}) {
		unzip, err := gzip.NewReader(body)
		if err != nil {
			return nil, broken(0, err)
		}
		l.r = bufio.NewReaderSize(&limited{r: unzip, left: ingestBody}, 16<<10)
	}
	if head, _ := l.r.Peek(3); bytes.Equal(head, []byte("\xEF\xBB\xBF")) { // a byte order mark
		_, _ = l.r.Discard(3)
	}
	return l, nil
}

// next returns the next line without its end, valid until the following call.
func (l *bodyLines) next() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if err == nil && len(l.buf) == 0 {
			l.number++
			return trimLine(part), nil // the usual case, without a copy
		}
		if len(l.buf)+len(part) > audit.MaxEvent+2 { // and its end
			return nil, tooLarge(l.number+1, "line %d: an event may have %d MiB at most", l.number+1, audit.MaxEvent>>20)
		}
		if size := len(l.buf) + len(part); size > cap(l.buf) {
			more := ingestFree
			if size > more {
				more = audit.MaxEvent + 2 // at once: what is outgrown is memory too, for a while
			}
			if err := l.room.take(more - cap(l.buf)); err != nil {
				return nil, err
			}
			l.buf = append(make([]byte, 0, more), l.buf...)
		}
		l.buf = append(l.buf, part...)
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && len(l.buf) == 0:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, broken(l.number+1, err)
		}
		line := trimLine(l.buf)
		if l.number++; len(line) > audit.MaxEvent {
			return nil, tooLarge(l.number, "line %d: an event may have %d MiB at most", l.number, audit.MaxEvent>>20)
		}
		return line, nil
	}
}

func trimLine(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
}

// broken says what it means that a body could not be read to its end.
func broken(line int64, err error) error {
	var own *ingestError
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &ingestError{status: http.StatusRequestTimeout, say: fmt.Sprintf("the body did not arrive within %d seconds", int(ingestTime.Seconds()))}
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return bad(max(line, 1), "the body begins like gzip and is damaged: %s", err.Error())
	case errors.Is(err, io.ErrUnexpectedEOF):
		return bad(max(line, 1), "the body breaks off in line %d", max(line, 1))
	}
	return bad(max(line, 1), "the body cannot be read in line %d: it is damaged, or was not sent to its end", max(line, 1))
}

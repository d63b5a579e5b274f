package audit

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// What a Remote sends at a time. A server takes twice as much.
const (
	remoteBody   = 4 << 20 // bytes, unpacked
	remoteEvents = 10_000
)

// Remote is a [Sink] in another process: an auditadmin server that is reached
// over HTTP, with a token of scope ingest. It is safe for concurrent use, and
// holds nothing that has to be closed.
//
//	remote, err := audit.NewRemote("https://audit.example.com", token)
//	…
//	recorder, err := audit.New(remote, audit.SpoolDir("audit.spool"))
//
// The server gives the events its own source: the name of the token.
type Remote struct {
	address string
	token   string
	client  *http.Client
	most    int          // attempts
	pause   atomic.Int64 // in Unix nanoseconds: the server asked for silence until then
}

// A RemoteOption changes how a Remote reaches its server.
type RemoteOption func(*Remote)

// RemoteClient has requests made by a client of the application's own, for
// proxies, certificates and limits. Without it, up to 32 connections are kept
// and an answer is waited for as long as the context says.
func RemoteClient(c *http.Client) RemoteOption { return func(r *Remote) { r.client = c } }

// RemoteAttempts is how often Append tries before it says that the server is
// away: 4 times unless it is set.
func RemoteAttempts(n int) RemoteOption { return func(r *Remote) { r.most = max(n, 1) } }

// NewRemote returns a sink at the address of an auditadmin server, such as
// "https://audit.example.com". It does not ask whether the server is there: a
// recorder with a spool starts without it.
func NewRemote(address, token string, options ...RemoteOption) (*Remote, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("new remote: %q is no address of a server; give one such as https://audit.example.com", address)
	}
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return nil, errors.New("new remote: give the token that `auditadmin token create NAME --scope ingest` prints")
	}
	r := &Remote{address: u.JoinPath("api/v1/events").String(), token: token, most: 4}
	for _, o := range options {
		o(r)
	}
	if r.client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = 32, 32
		r.client = &http.Client{Transport: transport}
	}
	client := *r.client
	// A token is for one server, and a redirected POST would arrive empty.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r.client = &client
	return r, nil
}

// MaskKey returns a key for the fingerprints of masked values that is the same
// for everybody who has the token, so that equal secrets look equal from one
// start of a process to the next. The token cannot be told from it.
func (r *Remote) MaskKey(context.Context) ([]byte, error) {
	h := hmac.New(sha256.New, []byte(r.token))
	h.Write([]byte("auditadmin mask key"))
	return h.Sum(nil), nil
}

// RemoteError is the answer of a server that did not store events. It wraps
// [ErrRejected] where the server would give the same answer to them every time.
type RemoteError struct {
	Status  int
	Message string // what the server said
	Event   *Event // which one the server named, or nil

	rejected bool
	after    time.Duration // when the server wants to be asked again, if it said so
}

// Error returns one sentence without a period.
func (e *RemoteError) Error() string {
	text := fmt.Sprintf("the audit server answers %d", e.Status)
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Event != nil {
		text += fmt.Sprintf(" (%s %q)", e.Event.Kind, e.Event.EventID)
	}
	return text
}

// Unwrap returns ErrRejected, or nil where another attempt may succeed.
func (e *RemoteError) Unwrap() error {
	if e.rejected {
		return ErrRejected
	}
	return nil
}

// Append stores events, as [Sink] says. It tries again, after a wait that grows
// and is never the same for two callers, where the network fails or the server
// says that it is busy, and not before the time that the server names. Where ctx
// would end during the wait it returns at once.
//
// Many events go in several bodies, of which each is stored whole or not at all.
func (r *Remote) Append(ctx context.Context, events []*Event) (Appended, error) {
	var all Appended
	for len(events) > 0 {
		body, n := fillBody(events)
		stored, err := r.deliver(ctx, body, events[:n])
		all.Accepted += stored.Accepted
		all.Duplicates += stored.Duplicates
		all.Conflicts += stored.Conflicts
		if err != nil {
			return all, fmt.Errorf("send %d events: %w", len(events), err)
		}
		events = events[n:]
	}
	return all, nil
}

// fillBody writes as many events as go into one body.
func fillBody(events []*Event) (body []byte, n int) {
	for _, e := range events {
		before := len(body)
		body = append(AppendJSON(body, e, nil), '\n')
		if n > 0 && (len(body) > remoteBody || n == remoteEvents) {
			return body[:before], n
		}
		n++
	}
	return body, n
}

// deliver sends one body until the server has it, or has refused it, or enough
// was tried.
func (r *Remote) deliver(ctx context.Context, body []byte, events []*Event) (Appended, error) {
	packed, err := pack(body)
	if err != nil {
		return Appended{}, err
	}
	for attempt := 1; ; attempt++ {
		if err := r.keepSilence(ctx); err != nil {
			return Appended{}, err
		}
		stored, err := r.post(ctx, packed, events)
		if err == nil {
			return stored, nil
		}
		var answer *RemoteError
		if errors.As(err, &answer) {
			if answer.Status == http.StatusRequestEntityTooLarge && len(events) > 1 {
				return r.halve(ctx, events) // a proxy may take less than the server
			}
			if !answer.again() {
				return Appended{}, err
			}
			if answer.after > 0 {
				r.silence(answer.after)
			}
		}
		if attempt >= r.most || ctx.Err() != nil {
			return Appended{}, err
		}
		// From half of the wait to all of it, so that callers do not come together.
		wait := 100 * time.Millisecond << (attempt - 1)
		wait = wait/2 + rand.N(wait/2)
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return Appended{}, err
		}
		if !pause(ctx, wait) {
			return Appended{}, err
		}
	}
}

// halve sends the events in two bodies.
func (r *Remote) halve(ctx context.Context, events []*Event) (Appended, error) {
	first, err := r.Append(ctx, events[:len(events)/2])
	if err != nil {
		return first, err
	}
	second, err := r.Append(ctx, events[len(events)/2:])
	return Appended{first.Accepted + second.Accepted, first.Duplicates + second.Duplicates, first.Conflicts + second.Conflicts}, err
}

// longestSilence bounds what a server may ask for.
const longestSilence = 5 * time.Minute

func (r *Remote) silence(d time.Duration) {
	until := time.Now().Add(min(d, longestSilence)).UnixNano()
	for {
		old := r.pause.Load()
		if old >= until || r.pause.CompareAndSwap(old, until) {
			return
		}
	}
}

// keepSilence waits until the server may be asked, or says that ctx ends before.
func (r *Remote) keepSilence(ctx context.Context) error {
	wait := time.Until(time.Unix(0, r.pause.Load()))
	if wait <= 0 {
		return ctx.Err()
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return fmt.Errorf("the audit server asked not to be asked for another %s", wait.Round(time.Millisecond))
	}
	if !pause(ctx, wait) {
		return ctx.Err()
	}
	return nil
}

// pack compresses what is worth it.
func pack(body []byte) ([]byte, error) {
	if len(body) < 1<<10 {
		return body, nil
	}
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// post makes one request.
func (r *Remote) post(ctx context.Context, body []byte, events []*Event) (Appended, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.address, bytes.NewReader(body))
	if err != nil {
		return Appended{}, err
	}
	q.Header.Set("Authorization", "Bearer "+r.token)
	q.Header.Set("Content-Type", "application/x-ndjson")
	q.Header.Set("User-Agent", "auditadmin-remote")
	if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		q.Header.Set("Content-Encoding", "gzip")
	}
	w, err := r.client.Do(q)
	if err != nil {
		return Appended{}, err // names the address, and never the token
	}
	defer w.Body.Close()
	text, err := io.ReadAll(io.LimitReader(w.Body, 64<<10))
	if err != nil {
		return Appended{}, fmt.Errorf("read the answer of the audit server: %w", err)
	}
	var said struct {
		Accepted   *int
		Duplicates *int
		Conflicts  *int
		Error      string
		Line       int
	}
	err = json.Unmarshal(text, &said)
	if w.StatusCode == http.StatusOK && err == nil && said.Accepted != nil && said.Duplicates != nil && said.Conflicts != nil &&
		*said.Accepted+*said.Duplicates == len(events) {
		return Appended{*said.Accepted, *said.Duplicates, *said.Conflicts}, nil
	}
	answer := &RemoteError{Status: w.StatusCode, Message: said.Error, after: retryAfter(w.Header.Get("Retry-After"), time.Now())}
	switch {
	case w.StatusCode == http.StatusOK:
		answer.Message = "but not like an audit server, so nothing may have been stored; is the address right?"
	case said.Error == "":
		answer.Message = http.StatusText(w.StatusCode)
	case w.StatusCode == http.StatusBadRequest && said.Line > 0: // and not some proxy that did not like the request
		answer.rejected = true
	}
	if w.StatusCode == http.StatusRequestEntityTooLarge && len(events) == 1 {
		answer.rejected = true
	}
	if answer.rejected && said.Line <= len(events) {
		answer.Event = events[max(said.Line, 1)-1]
	}
	return Appended{}, answer
}

// again reports whether the same request may succeed in a moment.
func (e *RemoteError) again() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// retryAfter reads seconds or a date.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), 1<<20)) * time.Second
	}
	if t, err := http.ParseTime(header); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

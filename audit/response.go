package audit

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// response passes an answer on and notes its status.
type response struct {
	w        http.ResponseWriter
	status   int // 0 until it is sent
	hijacked bool
}

// Header, WriteHeader and Write make it an http.ResponseWriter.
func (p *response) Header() http.Header { return p.w.Header() }

func (p *response) WriteHeader(status int) {
	// What comes before the answer itself, such as 103 Early Hints, is no status.
	if p.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		p.status = status
	}
	p.w.WriteHeader(status)
}

func (p *response) Write(b []byte) (int, error) {
	p.sent()
	return p.w.Write(b)
}

// WriteString spares io.WriteString a copy.
func (p *response) WriteString(s string) (int, error) {
	p.sent()
	return io.WriteString(p.w, s)
}

// Unwrap is for http.ResponseController.
func (p *response) Unwrap() http.ResponseWriter { return p.w }

func (p *response) sent() {
	if p.status == 0 {
		p.status = http.StatusOK
	}
}

// What a handler may ask of its writer by an assertion, passed on.
type (
	flusher    struct{ p *response }
	hijacker   struct{ p *response }
	readerFrom struct{ p *response }
	pusher     struct{ p *response }
)

func (f flusher) Flush() {
	f.p.sent()
	f.p.w.(http.Flusher).Flush()
}

func (f flusher) FlushError() error {
	f.p.sent()
	if e, ok := f.p.w.(interface{ FlushError() error }); ok {
		return e.FlushError()
	}
	f.p.w.(http.Flusher).Flush()
	return nil
}

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := h.p.w.(http.Hijacker).Hijack()
	h.p.hijacked = h.p.hijacked || err == nil
	return conn, rw, err
}

func (r readerFrom) ReadFrom(src io.Reader) (int64, error) {
	r.p.sent()
	return r.p.w.(io.ReaderFrom).ReadFrom(src)
}

func (p pusher) Push(target string, o *http.PushOptions) error {
	return p.p.w.(http.Pusher).Push(target, o)
}

// writer returns p as a writer that can do what the one within can, and nothing
// else: handlers ask by assertion whether they may stream, hijack or push, and
// have to get the same answer as without the middleware.
func (p *response) writer() http.ResponseWriter {
	can := 0
	if _, ok := p.w.(http.Flusher); ok {
		can |= 1
	}
	if _, ok := p.w.(http.Hijacker); ok {
		can |= 2
	}
	if _, ok := p.w.(io.ReaderFrom); ok {
		can |= 4
	}
	if _, ok := p.w.(http.Pusher); ok {
		can |= 8
	}
	f, h, r, q := flusher{p}, hijacker{p}, readerFrom{p}, pusher{p}
	switch can {
	case 1:
		return struct {
			*response
			flusher
		}{p, f}
	case 2:
		return struct {
			*response
			hijacker
		}{p, h}
	case 3:
		return struct {
			*response
			flusher
			hijacker
		}{p, f, h}
	case 4:
		return struct {
			*response
			readerFrom
		}{p, r}
	case 5:
		return struct {
			*response
			flusher
			readerFrom
		}{p, f, r}
	case 6:
		return struct {
			*response
			hijacker
			readerFrom
		}{p, h, r}
	case 7: // HTTP/1
		return struct {
			*response
			flusher
			hijacker
			readerFrom
		}{p, f, h, r}
	case 8:
		return struct {
			*response
			pusher
		}{p, q}
	case 9: // HTTP/2
		return struct {
			*response
			flusher
			pusher
		}{p, f, q}
	case 10:
		return struct {
			*response
			hijacker
			pusher
		}{p, h, q}
	case 11:
		return struct {
			*response
			flusher
			hijacker
			pusher
		}{p, f, h, q}
	case 12:
		return struct {
			*response
			readerFrom
			pusher
		}{p, r, q}
	case 13:
		return struct {
			*response
			flusher
			readerFrom
			pusher
		}{p, f, r, q}
	case 14:
		return struct {
			*response
			hijacker
			readerFrom
			pusher
		}{p, h, r, q}
	case 15:
		return struct {
			*response
			flusher
			hijacker
			readerFrom
			pusher
		}{p, f, h, r, q}
	}
	return p
}

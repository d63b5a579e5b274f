package pgtest

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a client and a server, and breaks what goes through it. It
// reads the protocol of PostgreSQL as far as it has to know which statement is about
// to be executed and when that was answered. Connections through it are not
// encrypted. It ends with the test.
type Proxy struct {
	target  string
	address string
	work    sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	listener net.Listener // nil while connections are refused
	links    map[*link]bool
	rule     *rule
	silence  chan struct{} // closed when it ends; nil while there is none
	delay    time.Duration
}

// rule says which statement is lost, and whether before the server gets it.
type rule struct {
	match  func(statement string) bool
	answer bool // the server executes it, and its answer is lost
	lost   chan struct{}
}

// NewProxy starts a proxy in front of a server, which may be down.
func NewProxy(t testing.TB, s *Server) *Proxy {
	t.Helper()
	p := &Proxy{target: s.Address(), links: map[*link]bool{}}
	p.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
	p.Refuse(t, false)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		if p.listener != nil {
			p.listener.Close()
		}
		p.mu.Unlock()
		p.Cut()
		p.work.Wait()
	})
	return p
}

// URL returns the address of a database of the server, by way of the proxy.
func (p *Proxy) URL(t testing.TB, database string) string {
	t.Helper()
	return withHost(t, database, p.address)
}

// Cut breaks all connections now, towards both sides, as a reset does.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut()
	}
}

// Refuse lets new connections be refused, as by a server that is down, or with off
// none. Those that are open stay.
func (p *Proxy) Refuse(t testing.TB, on bool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.listener != nil:
		p.listener.Close()
		p.listener = nil
	case !on && p.listener == nil:
		l, err := net.Listen("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		p.listener = l
		p.work.Go(func() { p.accept(l) })
	}
}

// Silence lets nothing through in either direction, as a network that swallows
// what it is given: connections stay open, and new ones are accepted and hear
// nothing. With off, what was held back goes on its way.
func (p *Proxy) Silence(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.silence == nil:
		p.silence = make(chan struct{})
	case !on && p.silence != nil:
		close(p.silence)
		p.silence = nil
	}
}

// Strand lets the connections that are open hear nothing any more, neither side and
// not even that the other one has left, as when a machine is gone or a firewall has
// forgotten them. New ones go through. Cut ends them.
func (p *Proxy) Strand() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.strand()
	}
}

// Delay holds each request back for d before the server gets it: once a query,
// simple or extended.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// LoseRequest cuts a connection instead of sending the next statement that
// matches on to the server, which never gets it. The channel is closed when that
// has happened. One loss is awaited at a time; another call replaces it.
func (p *Proxy) LoseRequest(match func(statement string) bool) (lost <-chan struct{}) {
	return p.lose(&rule{match: match, lost: make(chan struct{})})
}

// LoseAnswer cuts a connection instead of bringing the answer to the next
// statement that matches back to the client: the server has executed it and is done
// with it, and the client does not know. The channel is closed when that has
// happened.
func (p *Proxy) LoseAnswer(match func(statement string) bool) (lost <-chan struct{}) {
	return p.lose(&rule{match: match, answer: true, lost: make(chan struct{})})
}

func (p *Proxy) lose(r *rule) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = r
	return r.lost
}

// Commit matches the statements that commit a transaction: COMMIT or END, in any
// case and behind comments, and a text of several statements that begins or ends
// with one.
func Commit(statement string) bool {
	all := strings.Split(strings.TrimRight(statement, "; \t\r\n"), ";")
	for _, s := range []string{all[0], all[len(all)-1]} {
		for comment := true; comment; {
			s = strings.TrimSpace(s)
			var rest string
			if rest, comment = strings.CutPrefix(s, "--"); comment {
				_, s, _ = strings.Cut(rest, "\n")
			} else if rest, comment = strings.CutPrefix(s, "/*"); comment {
				_, s, _ = strings.Cut(rest, "*/")
			}
		}
		switch strings.Join(strings.Fields(strings.ToUpper(s)), " ") {
		case "COMMIT", "COMMIT WORK", "COMMIT TRANSACTION", "COMMIT AND CHAIN", "END", "END WORK", "END TRANSACTION":
			return true
		}
	}
	return false
}

// Statement matches the statements that have a text in them.
func Statement(part string) func(statement string) bool {
	return func(statement string) bool { return strings.Contains(statement, part) }
}

// matching takes the rule that a statement falls under, which is used up by that.
func (p *Proxy) matching(statement string) *rule {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rule
	if r == nil || !r.match(statement) {
		return nil
	}
	p.rule = nil
	return r
}

func (p *Proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		p.work.Go(func() { p.serve(client) })
	}
}

// serve connects a client to the server, until one of them has enough.
func (p *Proxy) serve(client net.Conn) {
	l := &link{proxy: p, client: client, done: make(chan struct{})}
	defer l.cut()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.links[l] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	if !l.pass(0) {
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil || !l.join(server) {
		return
	}
	var answers sync.WaitGroup
	answers.Go(func() {
		_ = l.answers() // however it ends, so does the connection
		l.end()
	})
	err = l.requests()
	l.mu.Lock()
	stranded := l.stranded
	l.mu.Unlock()
	if errors.Is(err, io.EOF) && !stranded {
		// The client has said all. The server hears that, and may still answer.
		if half, ok := server.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
		answers.Wait()
		return
	}
	l.end()
	answers.Wait()
}

package pgtest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// The requests that come before the protocol proper, by the numbers that stand in
// place of its version.
const (
	requestCancel = 80877102
	requestTLS    = 80877103
	requestGSS    = 80877104
)

// link is one connection through a proxy.
type link struct {
	proxy  *Proxy
	client net.Conn
	done   chan struct{} // closed when it is cut

	mu       sync.Mutex
	server   net.Conn // nil before it is connected
	over     bool
	stranded bool // nothing gets through any more

	// The server ends its answer to each request with ReadyForQuery, one for each
	// query, function call and Sync, and one for the start.
	asked    int   // of them
	answered int   // of them
	losing   *rule // under which the answer is lost that ends with number loses
	loses    int
}

// join connects the link to the server, if nobody has cut it meanwhile.
func (l *link) join(server net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.server = server
	if l.over {
		server.Close()
	}
	return !l.over
}

// cut breaks the connection, towards both sides.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	l.over = true
	close(l.done)
	for _, c := range []net.Conn{l.client, l.server} {
		if c, ok := c.(*net.TCPConn); ok {
			_ = c.SetLinger(0) // what was sent and not read is lost
			_ = c.Close()
		}
	}
}

// strand lets nothing through for as long as the link is not cut.
func (l *link) strand() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stranded = true
}

// end breaks the connection because one side has left, if the other one can hear
// of that.
func (l *link) end() {
	l.mu.Lock()
	stranded := l.stranded
	l.mu.Unlock()
	if stranded {
		<-l.done
	}
	l.cut()
}

// pass waits until something may go through, and reports whether it may at all.
func (l *link) pass(delay time.Duration) bool {
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-l.done:
			return false
		}
	}
	for {
		l.proxy.mu.Lock()
		silence := l.proxy.silence
		l.proxy.mu.Unlock()
		select {
		case <-l.done:
			return false
		default:
		}
		l.mu.Lock()
		stranded := l.stranded
		l.mu.Unlock()
		if stranded {
			<-l.done
			return false
		}
		if silence == nil {
			return true
		}
		select {
		case <-silence:
		case <-l.done:
			return false
		}
	}
}

// requests brings what the client says to the server. The error says why it ends:
// io.EOF where the client has said all.
func (l *link) requests() error {
	in, out := bufio.NewReader(l.client), bufio.NewWriter(l.server)
	if err := l.start(in, out); err != nil {
		return err
	}
	prepared := map[string]string{} // the text of each prepared statement
	portals := map[string]string{}  // the text of what each portal executes
	for {
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		kind, err := in.ReadByte()
		if err != nil {
			return err
		}
		size, err := in.Peek(4)
		if err != nil {
			return err
		}
		length := int64(binary.BigEndian.Uint32(size))
		if length < 4 {
			return fmt.Errorf("a message %q of %d bytes", kind, length)
		}
		var body []byte // with its length, of those that matter here
		var executed string
		executes, ends := false, false
		switch kind {
		case 'Q', 'P', 'B', 'E':
			body = make([]byte, length)
			if _, err := io.ReadFull(in, body); err != nil {
				return err
			}
			first, rest := text(body[4:])
			second, _ := text(rest)
			switch kind {
			case 'Q':
				executed, executes, ends = first, true, true
			case 'P':
				prepared[first] = second
			case 'B':
				portals[first] = prepared[second]
			case 'E':
				executed, executes = portals[first], true
			}
		case 'S', 'F':
			ends = true
		}
		delay := time.Duration(0)
		if ends {
			l.proxy.mu.Lock()
			delay = l.proxy.delay
			l.proxy.mu.Unlock()
		}
		if !l.pass(delay) {
			return net.ErrClosed
		}
		if executes {
			if r := l.proxy.matching(executed); r != nil && !r.answer {
				l.cut()
				close(r.lost)
				return net.ErrClosed
			} else if r != nil {
				l.mu.Lock()
				l.losing, l.loses = r, l.asked+1 // the end of this query, or the Sync to come
				l.mu.Unlock()
			}
		}
		if ends {
			l.mu.Lock()
			l.asked++
			l.mu.Unlock()
		}
		if err := out.WriteByte(kind); err != nil {
			return err
		}
		if body != nil {
			_, err = out.Write(body)
		} else {
			_, err = io.CopyN(out, in, length)
		}
		if err != nil {
			return err
		}
	}
}

// start brings the first message over, which has no kind. A client that asks for
// encryption is told that there is none.
func (l *link) start(in *bufio.Reader, out *bufio.Writer) error {
	for {
		head, err := in.Peek(8)
		if err != nil {
			return err
		}
		switch binary.BigEndian.Uint32(head[4:]) {
		case requestTLS, requestGSS:
			if _, err := in.Discard(8); err != nil {
				return err
			}
			if _, err := l.client.Write([]byte{'N'}); err != nil {
				return err
			}
			continue
		case requestCancel: // the server answers nothing and ends
		default:
			l.mu.Lock()
			l.asked++
			l.mu.Unlock()
		}
		if !l.pass(0) {
			return net.ErrClosed
		}
		if _, err := io.CopyN(out, in, int64(binary.BigEndian.Uint32(head))); err != nil {
			return err
		}
		return out.Flush()
	}
}

// answers brings what the server says to the client, but for what is to be lost.
func (l *link) answers() error {
	in, out := bufio.NewReader(l.server), bufio.NewWriter(l.client)
	for {
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		head, err := in.Peek(5)
		if err != nil {
			if flushed := out.Flush(); flushed != nil {
				return flushed
			}
			return err
		}
		if !l.pass(0) {
			return net.ErrClosed
		}
		length := 1 + int64(binary.BigEndian.Uint32(head[1:]))
		l.mu.Lock()
		r := l.losing
		if r != nil && l.answered+1 < l.loses {
			r = nil // an answer from before
		}
		if head[0] == 'Z' {
			l.answered++
		}
		l.mu.Unlock()
		switch {
		case r == nil:
			_, err = io.CopyN(out, in, length)
		case head[0] != 'Z':
			_, err = io.CopyN(io.Discard, in, length)
		default:
			l.cut()
			close(r.lost)
			return fmt.Errorf("the answer is lost")
		}
		if err != nil {
			return err
		}
	}
}

// text cuts a text that ends with a zero off a message.
func text(from []byte) (text string, rest []byte) {
	before, rest, _ := bytes.Cut(from, []byte{0})
	return string(before), rest
}

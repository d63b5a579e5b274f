package format

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Input is one file, or standard input, being read. What is compressed with
// gzip is unpacked, whatever it is called.
type Input struct {
	// Name is how messages call it: the path as it was given.
	Name string
	// Path is the file; empty for standard input.
	Path string
	// Modified is when the content was last written, as far as is known; zero for
	// standard input.
	Modified time.Time
	// Size is how many bytes there are to read; 0 if that is not known.
	Size int64
	// Packed reports whether the file is compressed.
	Packed bool

	reader *bufio.Reader // unpacked
	file   io.Closer     // nil for standard input
	passed func(n int64) // told how many bytes of the file have been read in all
}

// StandardInput is the name of standard input in a list of files.
const StandardInput = "-"

// openInput opens a file, or standard input. passed is told how much of the
// file has been read; it may be nil.
func openInput(path string, stdin io.Reader, passed func(n int64)) (*Input, error) {
	in := &Input{Name: path, passed: passed}
	raw := stdin
	if path == StandardInput {
		in.Name = "standard input"
		if stdin == nil {
			return nil, errors.New("read standard input: there is none here")
		}
	} else {
		file, err := os.Open(path)
		if err != nil {
			return nil, err // names operation, path and cause
		}
		info, err := file.Stat()
		if err != nil {
			file.Close()
			return nil, err
		}
		in.Path, in.file, raw = path, file, file
		in.Modified = info.ModTime()
		if info.Mode().IsRegular() {
			in.Size = info.Size()
		}
	}
	if err := in.unpack(&counter{r: raw, passed: passed}); err != nil {
		in.Close()
		return nil, fmt.Errorf("read %s: %w", in.Name, err)
	}
	return in, nil
}

// unpack looks at the first bytes and prepares reading what they announce.
func (in *Input) unpack(raw io.Reader) error {
	in.reader = bufio.NewReaderSize(raw, 256<<10)
	head, err := in.reader.Peek(3)
	if err != nil && err != io.EOF {
		return err
	}
	if bytes.HasPrefix(head, []byte{0x1f, 0x8b}) {
		unzip, err := gzip.NewReader(in.reader)
		if err != nil {
			return fmt.Errorf("it begins like gzip and is not: %w", err)
		}
		in.Packed = true
		// gzip keeps the time of the file that it packed.
		if t := unzip.ModTime; !t.IsZero() && t.Unix() > 0 && (in.Modified.IsZero() || t.Before(in.Modified)) {
			in.Modified = t
		}
		in.reader = bufio.NewReaderSize(unzip, 256<<10)
		if head, err = in.reader.Peek(3); err != nil && err != io.EOF {
			return cut(err)
		}
	}
	if bytes.HasPrefix(head, []byte{0xEF, 0xBB, 0xBF}) { // a byte order mark
		in.reader.Discard(3)
		return nil
	}
	head = in.head()
	for _, other := range foreignFiles {
		if len(head) >= other.at && bytes.HasPrefix(head[other.at:], []byte(other.magic)) {
			return fmt.Errorf("it is %s; %s", other.what, other.todo)
		}
	}
	if len(head) > 1 && (head[0] == 0) != (head[1] == 0) { // letters without a mark
		return errors.New("it looks like UTF-16; convert it to UTF-8 first, for example with iconv -f UTF-16LE -t UTF-8")
	}
	return nil
}

// foreignFiles are files that people have beside their logs, by what stands at a
// place of them, and what makes of them something that can be read.
var foreignFiles = []struct {
	at                int
	magic, what, todo string
}{
	{0, "\xFF\xFE", "UTF-16", "convert it to UTF-8 first, for example with iconv -f UTF-16 -t UTF-8"},
	{0, "\xFE\xFF", "UTF-16", "convert it to UTF-8 first, for example with iconv -f UTF-16 -t UTF-8"},
	{0, "PK\x03\x04", "a zip archive", "unpack it: unzip -p FILE | auditadmin import --format … -"},
	{0, "BZh91AY&SY", "packed with bzip2", "unpack it: bzip2 -dc FILE | auditadmin import --format … -"},
	{0, "\xFD7zXZ\x00", "packed with xz", "unpack it: xz -dc FILE | auditadmin import --format … -"},
	{0, "\x28\xB5\x2F\xFD", "packed with zstd", "unpack it: zstd -dc FILE | auditadmin import --format … -"},
	{0, "ElfFile\x00", "a log of Windows events", "no format here reads it"},
	{257, "ustar", "a tar archive", "unpack it with tar -xf and name its files"},
}

// head returns what has been read ahead of the input, at most 4096 bytes. It does
// not wait for more.
func (in *Input) head() []byte {
	head, _ := in.reader.Peek(min(in.reader.Buffered(), 4096))
	return head
}

// again opens the same input a second time from its beginning. Standard input
// cannot be read twice: then again returns nil.
func (in *Input) again() (*Input, error) {
	if in.Path == "" || in.Size == 0 {
		return nil, nil
	}
	return openInput(in.Path, nil, nil)
}

// Close closes the file. Standard input stays open: it is not ours.
func (in *Input) Close() error {
	if in.file == nil {
		return nil
	}
	return in.file.Close()
}

// cut says in words what a reader's error means for a file.
func cut(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the compressed file is cut off; what came before was read")
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		return fmt.Errorf("the compressed file is damaged (%w); what came before was read", err)
	}
	return err
}

// counter tells how many bytes have passed.
type counter struct {
	r      io.Reader
	n      int64
	passed func(n int64)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.passed != nil && n > 0 {
		c.passed(c.n)
	}
	return n, err
}

// lines reads lines one after the other, holding at most one.
type lines struct {
	r      *bufio.Reader
	most   int // bytes; a longer line is passed over
	number int64
	buf    []byte
}

func newLines(r *bufio.Reader, most int) *lines { return &lines{r: r, most: most} }

var errLong = errors.New("the line is too long")

// next returns the next line without its end. It is valid until the following
// call. Errors: io.EOF at the end; errLong for a line over the limit, which has
// been passed over; else the input is broken and the line it broke off in is
// dropped, because half a line is not what was written.
func (l *lines) next() ([]byte, error) {
	l.buf = l.buf[:0]
	long, got := false, false
	for {
		part, err := l.r.ReadSlice('\n')
		got = got || len(part) > 0
		if !long {
			if long = len(l.buf)+len(part) > l.most; long {
				l.buf = l.buf[:0]
			} else if err == nil && len(l.buf) == 0 {
				l.number++
				return trimEnd(part), nil // the usual case, without a copy
			} else {
				l.buf = append(l.buf, part...)
			}
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil && err != io.EOF {
			return nil, cut(err)
		}
		if !got {
			return nil, io.EOF
		}
		l.number++
		if long {
			return nil, fmt.Errorf("%w: more than %d MiB", errLong, l.most>>20)
		}
		return trimEnd(l.buf), nil
	}
}

func trimEnd(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'})
}

// eachLine calls fn with every line that is not blank and with every line that
// has more than most bytes, until fn returns an error. The line is valid during
// the call.
func eachLine(r *bufio.Reader, most int, fn func(number int64, line []byte, err error) error) error {
	lines := newLines(r, most)
	for {
		line, err := lines.next()
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, errLong):
		case err != nil:
			return err
		case len(bytes.TrimSpace(line)) == 0:
			continue
		}
		if err := fn(lines.number, line, err); err != nil {
			return err
		}
	}
}

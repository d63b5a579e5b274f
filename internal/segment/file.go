package segment

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"unsafe"
)

// ErrDamaged is wrapped by the errors of Open and Check for a file that is not
// what was written. It is made again from the rows.
var ErrDamaged = errors.New("the segment is damaged")

// magic begins every file, and ends with the version of its form.
const magic = "auditadmin columns 1\n\x00\x00\x00"

// header follows it, as JSON.
type header struct {
	Stamp          map[string]string
	LittleEndian   bool
	Rows, Gone     int
	MinSeq, MaxSeq int64
	Columns        []columnHeader
	Parts          []part
}

type columnHeader struct {
	Name      string
	Addresses bool
	Base      uint32
	Assigned  bool
}

// part is a run of bytes of the file after the header.
type part struct {
	At, Size int64
	Sum      uint32 // CRC-32C
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func littleEndian() bool {
	n := uint16(1)
	return *(*byte)(unsafe.Pointer(&n)) == 1
}

// visitor goes through the parts of a segment in one fixed order, to write them
// or to set them.
type visitor struct {
	parts []part
	bytes [][]byte // to write
	file  []byte   // to read from
	next  int
	err   error
}

func visit[T any](v *visitor, s *[]T) {
	if v.file == nil {
		v.bytes = append(v.bytes, raw(*s))
		return
	}
	if v.next == len(v.parts) {
		v.err = fmt.Errorf("%w: a part is missing", ErrDamaged)
		return
	}
	p := v.parts[v.next]
	v.next++
	if p.At < 0 || p.Size < 0 || p.At%8 != 0 || p.At+p.Size > int64(len(v.file)) {
		v.err = fmt.Errorf("%w: a part lies outside of it", ErrDamaged)
		return
	}
	if p.Size > 0 {
		*s = view[T](v.file[p.At : p.At+p.Size])
	}
}

func (s *Segment) visit(v *visitor) {
	packed := func(p *packed) {
		visit(v, &p.bases)
		visit(v, &p.places)
		visit(v, &p.forms)
		visit(v, &p.data)
		p.n = s.n
	}
	packed(&s.ids)
	packed(&s.seqs)
	visit(v, &s.bySeq)
	visit(v, &s.ahead)
	visit(v, &s.micros)
	visit(v, &s.dead)
	for i := range s.columns {
		c := &s.columns[i]
		visit(v, &c.words.ends)
		visit(v, &c.words.bytes)
		visit(v, &c.flags)
		visit(v, &c.bytes)
		visit(v, &c.pairs)
		visit(v, &c.global)
		visit(v, &c.own)
		c.n = s.n
	}
	for i := range s.nums {
		packed(&s.nums[i])
		visit(v, &s.absent[i])
	}
}

// Write writes the segment to a file of that name, whole or not at all, and
// returns it as Open would. What is written is durable on return. The stamp is
// the caller's own.
func (s *Segment) Write(name string, layout Layout, stamp map[string]string) (*Segment, error) {
	v := &visitor{}
	s.visit(v)
	h := header{Stamp: stamp, LittleEndian: littleEndian(), Rows: s.n, Gone: s.gone, MinSeq: s.minSeq, MaxSeq: s.maxSeq}
	for i, t := range layout.Texts {
		c := &s.columns[i]
		h.Columns = append(h.Columns, columnHeader{t.Name, t.Addresses, c.base, c.global != nil})
	}
	at := int64(0)
	for _, b := range v.bytes {
		h.Parts = append(h.Parts, part{at, int64(len(b)), crc32.Checksum(b, castagnoli)})
		at += (int64(len(b)) + 7) &^ 7
	}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	for (len(magic)+8+len(text))%8 != 0 {
		text = append(text, ' ')
	}
	file := make([]byte, 0, int64(len(magic)+8+len(text))+at)
	file = append(file, magic...)
	file = binary.LittleEndian.AppendUint32(file, uint32(len(text)))
	file = binary.LittleEndian.AppendUint32(file, crc32.Checksum(text, castagnoli))
	file = append(file, text...)
	for _, b := range v.bytes {
		file = append(file, b...)
		for len(file)%8 != 0 {
			file = append(file, 0)
		}
	}
	if err := writeFile(name, file); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	written, _, err := Open(name, layout)
	if err != nil {
		os.Remove(name) // nobody knows of it, and it would be believed later
	}
	return written, err
}

// writeFile writes a file that is there whole or not at all.
func writeFile(name string, content []byte) error {
	folder := filepath.Dir(name)
	f, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	if err := syncFolder(folder); err != nil {
		os.Remove(name)
		return err
	}
	return nil
}

func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open opens a file that Write has written, and returns the stamp it was given.
// The file is mapped rather than read: it must stay as it is, and may be removed.
// The error wraps ErrDamaged where the file is not of this layout or not whole;
// the content of its parts is looked at by Check alone.
func Open(name string, layout Layout) (*Segment, map[string]string, error) {
	held, err := mapFile(name)
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", name, err)
	}
	s, h, err := held.read(layout)
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", name, err)
	}
	return s, h.Stamp, nil
}

func (m *mapping) header() (h header, start int, err error) {
	start = len(magic) + 8
	if len(m.bytes) < start || string(m.bytes[:len(magic)]) != magic {
		return h, 0, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	size := int(binary.LittleEndian.Uint32(m.bytes[len(magic):]))
	sum := binary.LittleEndian.Uint32(m.bytes[len(magic)+4:])
	if size > len(m.bytes)-start || crc32.Checksum(m.bytes[start:start+size], castagnoli) != sum {
		return h, 0, fmt.Errorf("%w: its header", ErrDamaged)
	}
	if err := json.Unmarshal(m.bytes[start:start+size], &h); err != nil {
		return h, 0, fmt.Errorf("%w: its header: %w", ErrDamaged, err)
	}
	return h, start + size, nil
}

func (m *mapping) read(layout Layout) (*Segment, header, error) {
	h, start, err := m.header()
	if err != nil {
		return nil, h, err
	}
	if h.LittleEndian != littleEndian() || len(h.Columns) != len(layout.Texts) || h.Rows > MaxRows {
		return nil, h, fmt.Errorf("%w: it is of another layout", ErrDamaged)
	}
	s := &Segment{n: h.Rows, gone: h.Gone, minSeq: h.MinSeq, maxSeq: h.MaxSeq, held: m, fileSize: int64(len(m.bytes)),
		columns: make([]Column, len(layout.Texts)), nums: make([]packed, layout.Numbers), absent: make([][]uint64, layout.Numbers)}
	v := &visitor{parts: h.Parts, file: m.bytes[start:]}
	s.visit(v)
	if v.err == nil && v.next != len(h.Parts) {
		v.err = fmt.Errorf("%w: it has parts too many", ErrDamaged)
	}
	if v.err != nil {
		return nil, h, v.err
	}
	for i := range s.columns {
		c := &s.columns[i]
		if t := layout.Texts[i]; h.Columns[i].Name != t.Name || h.Columns[i].Addresses != t.Addresses {
			return nil, h, fmt.Errorf("%w: it is of another layout", ErrDamaged)
		}
		c.held, c.base, c.words.addresses = m, h.Columns[i].Base, h.Columns[i].Addresses
		if !h.Columns[i].Assigned {
			c.global, c.own = nil, nil
		} else if len(c.global) != c.words.len() {
			return nil, h, fmt.Errorf("%w: a column is torn", ErrDamaged)
		}
	}
	return s, h, nil
}

// Check reads the whole file of a segment and reports whether it is as it was
// written. A segment without a file is.
func (s *Segment) Check() error {
	if s.held == nil {
		return nil
	}
	h, start, err := s.held.header()
	if err != nil {
		return err
	}
	for _, p := range h.Parts {
		if crc32.Checksum(s.held.bytes[start:][p.At:p.At+p.Size], castagnoli) != p.Sum {
			return ErrDamaged
		}
	}
	return nil
}

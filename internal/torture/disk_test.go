//go:build linux

package torture

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// operation is one record of a recording: what a program did to a file, or what
// a test wrote between.
type operation struct {
	op     byte
	failed bool
	name   string
	offset int64
	data   []byte
	end    int64 // where the record ends in the recording
}

const operationHead = 16

// encode is the form in which the shim writes its records too.
func (o operation) encode() []byte {
	b := make([]byte, operationHead, operationHead+len(o.name)+len(o.data))
	b[0] = o.op
	binary.NativeEndian.PutUint16(b[2:], uint16(len(o.name)))
	binary.NativeEndian.PutUint32(b[4:], uint32(len(o.data)))
	binary.NativeEndian.PutUint64(b[8:], uint64(o.offset))
	return append(append(b, o.name...), o.data...)
}

func readRecording(path string) ([]operation, error) {
	all, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var ops []operation
	for at := 0; at < len(all); {
		if at+operationHead > len(all) {
			return nil, fmt.Errorf("the recording breaks off at %d of %d", at, len(all))
		}
		head := all[at:]
		name, data := int(binary.NativeEndian.Uint16(head[2:])), int(binary.NativeEndian.Uint32(head[4:]))
		if at+operationHead+name+data > len(all) {
			return nil, fmt.Errorf("the recording breaks off at %d of %d", at, len(all))
		}
		rest := head[operationHead:]
		at += operationHead + name + data
		ops = append(ops, operation{head[0], head[1] != 0, string(rest[:name]), int64(binary.NativeEndian.Uint64(head[8:])), rest[name : name+data : name+data], int64(at)})
	}
	return ops, nil
}

// disk is what a recording makes of a disk: what surely is on it, and what was
// written since and may be on it or not when the power goes.
type disk struct {
	deaf    func(operation) bool // syncs that this disk only pretends to do; nil for an honest one
	names   map[string]*inode    // durable
	current map[string]*inode    // as the programs see it
	moves   []move               // of names, not durable yet, in their order
}

type inode struct {
	durable []byte
	pending []operation // written since the last sync
	// doubtful was written before a sync that failed: the system has forgotten
	// that it must be written, so that no later sync makes it durable.
	doubtful []operation
}

type move struct {
	to   string
	node *inode // nil: the name goes
}

func newDisk() *disk {
	return &disk{names: map[string]*inode{}, current: map[string]*inode{}}
}

// node is the file of that name. One that was never seen is new: the program
// made it by itself.
func (d *disk) node(name string) *inode {
	n := d.current[name]
	if n == nil {
		n = &inode{}
		d.current[name] = n
		d.moves = append(d.moves, move{name, n})
	}
	return n
}

func (d *disk) apply(o operation) {
	switch o.op {
	case 'C':
		d.node(o.name)
	case 'W', 'T':
		n := d.node(o.name)
		n.pending = append(n.pending, o)
	case 'S':
		if d.deaf == nil || !d.deaf(o) {
			d.node(o.name).sync(o.failed)
		}
	case 'D':
		if !o.failed {
			for _, m := range d.moves {
				m.apply(d.names)
			}
			d.moves = nil
		}
	case 'U':
		delete(d.current, o.name)
		d.moves = append(d.moves, move{o.name, nil})
	case 'R':
		n := d.node(o.name)
		delete(d.current, o.name)
		d.current[string(o.data)] = n
		d.moves = append(d.moves, move{string(o.data), n}, move{o.name, nil})
	}
}

func (m move) apply(names map[string]*inode) {
	if m.node == nil {
		delete(names, m.to)
		return
	}
	names[m.to] = m.node
}

func (n *inode) sync(failed bool) {
	if failed {
		var sizes []operation // are in the file system's own journal
		for _, o := range n.pending {
			if o.op == 'T' {
				sizes = append(sizes, o)
			} else {
				n.doubtful = append(n.doubtful, o)
			}
		}
		n.pending = sizes
		return
	}
	for _, o := range n.pending {
		n.durable = change(n.durable, o)
		var left []operation
		for _, old := range n.doubtful {
			left = append(left, without(old, o)...)
		}
		n.doubtful = left
	}
	n.pending = nil
}

// without is what a later, durable change leaves open of an earlier one.
func without(old, o operation) []operation {
	if o.op == 'T' {
		if old.offset >= o.offset {
			return nil
		}
		old.data = old.data[:min(int64(len(old.data)), o.offset-old.offset)]
		return []operation{old}
	}
	var left []operation
	end, oEnd := old.offset+int64(len(old.data)), o.offset+int64(len(o.data))
	if end <= o.offset || oEnd <= old.offset {
		return []operation{old}
	}
	if old.offset < o.offset {
		left = append(left, operation{op: 'W', offset: old.offset, data: old.data[:o.offset-old.offset]})
	}
	if end > oEnd {
		left = append(left, operation{op: 'W', offset: oEnd, data: old.data[oEnd-old.offset:]})
	}
	return left
}

// change applies a write or a truncation.
func change(data []byte, o operation) []byte {
	end := o.offset
	if o.op == 'W' {
		end += int64(len(o.data))
	}
	switch {
	case o.op == 'T' && int64(len(data)) > end:
		return data[:end]
	case int64(len(data)) < end:
		grown := slices.Grow(data, int(end)-len(data))[:end]
		clear(grown[len(data):])
		data = grown
	}
	copy(data[o.offset:end], o.data)
	return data
}

// image is what may be found on the disk after the power went, by name. How the
// unsynced writes fare is one of several ways: all of them arrived, none, any
// combination, only the later ones, or any combination of their sectors.
func (d *disk) image(r *rand.Rand) map[string][]byte {
	names := maps.Clone(d.names)
	for _, m := range d.moves[:r.IntN(len(d.moves)+1)] { // a file system keeps the order of names
		m.apply(names)
	}
	way := r.IntN(5)
	files := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		data := make([]byte, len(n.durable), len(n.durable)+64<<10)
		copy(data, n.durable)
		open := slices.Concat(n.doubtful, n.pending)
		for i, o := range open {
			switch way {
			case 0:
				data = change(data, o)
			case 1:
			case 2:
				if r.IntN(2) == 0 {
					data = change(data, o)
				}
			case 3:
				if i >= len(open)/2 {
					data = change(data, o)
				}
			case 4:
				data = tear(data, o, r)
			}
		}
		files[name] = data
	}
	return files
}

const sector = 512

// tear applies only some of the sectors that a write touches.
func tear(data []byte, o operation, r *rand.Rand) []byte {
	if o.op != 'W' {
		if r.IntN(2) == 0 {
			return change(data, o)
		}
		return data
	}
	for rest := o; len(rest.data) > 0; {
		n := min(int64(len(rest.data)), sector-rest.offset%sector)
		if r.IntN(2) == 0 {
			data = change(data, operation{op: 'W', offset: rest.offset, data: rest.data[:n]})
		}
		rest.offset, rest.data = rest.offset+n, rest.data[n:]
	}
	return data
}

// writeImage makes a folder hold exactly these files.
func writeImage(dir string, files map[string][]byte) error {
	old, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range old {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

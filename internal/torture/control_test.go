//go:build linux

package torture

import (
	"encoding/binary"
	"os"
	"syscall"
	"testing"
)

// The calls that a control can let fail, as the shim knows them.
const (
	callWrite    = 1
	callSync     = 2
	callTruncate = 4
	callUnlink   = 8
	callOpen     = 16
)

// What happens to them.
const (
	failCall  = 0
	failHalf  = 1 // half of a write arrives
	failKills = 2 // SIGKILL
)

// forEver is more often than any test calls.
const forEver = 1 << 31

// control is the file that tells the shim what fails, mapped into both.
type control struct {
	path string
	page []byte
}

func newControl(t testing.TB, path string) *control {
	t.Helper()
	if err := os.WriteFile(path, make([]byte, os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page, err := syscall.Mmap(int(f.Fd()), 0, os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(page) })
	return &control{path, page}
}

// fail lets the n-th of the calls from now on fail, counted from 1, and those
// after it, so many in all.
func (c *control) fail(calls uint32, err syscall.Errno, n, times uint32, action uint32) {
	c.set(0, 0) // nothing, while it is written
	for i, v := range []uint32{uint32(err), n - 1, times, action, 0, 0} {
		c.set(i+1, v)
	}
	c.set(0, calls)
}

// heal lets nothing fail any more.
func (c *control) heal() { c.set(0, 0) }

func (c *control) failed() int { return int(c.get(5)) }

// seen is how many of the calls there were since fail was called.
func (c *control) seen() int { return int(c.get(6)) }

func (c *control) set(i int, v uint32) { binary.NativeEndian.PutUint32(c.page[4*i:], v) }
func (c *control) get(i int) uint32    { return binary.NativeEndian.Uint32(c.page[4*i:]) }

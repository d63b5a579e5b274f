//go:build unix

package segment

import (
	"os"
	"runtime"
	"syscall"
)

// mapping is a file in memory, which the system reads as it is needed and drops
// again when memory is short. It goes when nothing refers to it any more.
type mapping struct{ bytes []byte }

func mapFile(name string) (*mapping, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return &mapping{}, err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	m := &mapping{b}
	runtime.AddCleanup(m, func(b []byte) { syscall.Munmap(b) }, b)
	return m, nil
}

package handlers

import (
	"bufio"
	"os"
	measures "runtime/metrics"
	"strconv"
	"strings"
)

// memoryUse is what the process takes, in bytes.
type memoryUse struct {
	Anonymous  int64 `json:"anonymous"` // RssAnon: what is not a mapped file; 0 where the system does not say
	Mapped     int64 `json:"mapped"`    // RssFile: pages of files, which the system takes back at will
	Heap       int64 `json:"heap"`      // objects of the program's own heap
	Goroutines int64 `json:"goroutines"`
}

// memoryNow reads what the process takes. It does not stop the world, as
// runtime.ReadMemStats would.
func memoryNow() memoryUse {
	samples := []measures.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	measures.Read(samples)
	m := memoryUse{Heap: int64(samples[0].Value.Uint64()), Goroutines: int64(samples[1].Value.Uint64())}
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return m // not on Linux
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch {
		case err != nil:
		case name == "RssAnon":
			m.Anonymous = n << 10
		case name == "RssFile":
			m.Mapped = n << 10
		}
	}
	return m
}

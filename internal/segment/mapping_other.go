//go:build !unix

package segment

import "os"

// mapping is a file in memory.
type mapping struct{ bytes []byte }

func mapFile(name string) (*mapping, error) {
	b, err := os.ReadFile(name)
	return &mapping{b}, err
}

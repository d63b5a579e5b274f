//go:build !amd64

package segment

// spanPairs marks the codes from lo to hi, both included, of whole words, and
// returns how many codes that were. Here are no instructions for it.
func spanPairs([]uint16, uint16, uint16, []uint64) int { return 0 }

func spanBytes([]uint8, uint8, uint8, []uint64) int { return 0 }

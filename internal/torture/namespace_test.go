//go:build linux

package torture

// insideNamespace is what this program does when a test has started it again.
func insideNamespace(string) int { return 1 }
